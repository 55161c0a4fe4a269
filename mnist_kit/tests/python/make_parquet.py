"""Writes a small image set in the layout of the Hugging Face distribution of MNIST: train in two shards, test in one.

usage: make_parquet.py FOLDER [CASE]

A case makes the second training shard wrong in one way, or names the classes in words. Pixels of image i: (31 i + 7 row + 3 column) mod 256; its label: i mod 10.
"""

import io
import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
WORDS = "zero one two three four five six seven eight nine".split()
NAMES = WORDS if "names" in sys.argv[2:] else [str(digit) for digit in range(10)]
FEATURES = {"image": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}


def png(index, width=28, height=28, mode="L"):
    image = Image.new("L", (width, height))
    image.putdata([(31 * index + 7 * row + 3 * column) % 256 for row in range(height) for column in range(width)])
    file = io.BytesIO()
    image.convert(mode).save(file, format="PNG")
    return file.getvalue()


def write(path, indices, case=None):
    images = [{"bytes": png(index, mode="RGB" if case == "color" else "L"), "path": None} for index in indices]
    labels = [index % 10 for index in indices]
    if case == "broken-png":
        images[7]["bytes"] = images[7]["bytes"][:60]
    elif case == "mixed-sizes":
        images[7]["bytes"] = png(0, width=20)
    elif case == "null-image":
        images[7] = None
    elif case == "null-label":
        labels[7] = None
    elif case == "label-range":
        labels[7] = -1
    columns = {"image": pa.array(images, IMAGE), "label": pa.array(labels, pa.int64())}
    if case == "no-label":
        columns["digit"] = columns.pop("label")
    elif case == "no-image":
        columns["image"] = columns["label"]
    elif case == "text-label":
        columns["label"] = columns["label"].cast(pa.string())
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})
    pq.write_table(table, path, compression="snappy", row_group_size=5)


folder = Path(sys.argv[1])
write(folder / "train-00000-of-00002.parquet", range(0, 12))
write(folder / "train-00001-of-00002.parquet", range(12, 23), *sys.argv[2:])
write(folder / "test-00000-of-00001.parquet", range(100, 108))

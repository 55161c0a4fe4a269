"""The records in notebooks/records/ hold whole runs on MNIST."""

import json
import re

import pytest

import bench_fast
import results

FILES = sorted(set(results.RECORDS.glob("*")) - {bench_fast.RECORD})


@pytest.mark.parametrize("path", FILES, ids=[path.name for path in FILES])
def test_a_record_is_a_whole_run_of_the_model_and_seed_in_its_name(path):
    record = json.loads(path.read_text(encoding="utf-8"))
    assert path.name == f"{record['model']}_{record['seed']}.json"
    assert record["model"] in (*results.MODELS, *results.OF_SEVERAL_SEEDS)
    epochs = [epoch["epoch"] for epoch in record["history"]["epochs"]]
    assert epochs == list(range(1, record["settings"]["epochs"] + 1))
    assert record["history"]["note"] is None, "made in quick mode, or with generated digits"
    assert re.fullmatch(r"[0-9a-f]{7,}(\+changes)?", record["commit"])
    log = record["log"]
    if not log.startswith("Copied from"):
        lines = re.findall(r"^Epoch (\d+)/", log, re.MULTILINE)
        # An epoch may stand there twice if the run was interrupted before its checkpoint.
        assert [int(line) for line in dict.fromkeys(lines)] == epochs


def test_the_comparison_has_thirty_seeds_of_both_programs():
    record = json.loads(bench_fast.RECORD.read_text(encoding="utf-8"))
    assert re.fullmatch(r"[0-9a-f]{7,}", record["commit"])
    for program in ("mnist_kit", "PyTorch"):
        seeds = [run["seed"] for run in record["runs"] if run["program"] == program]
        assert seeds == list(range(1, 31)), program

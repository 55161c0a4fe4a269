"""The benchmark's protocol with its processes, its choice of a side, and its table."""

import os
import sys

import bench
import pytest

import project

# Answers each line with a round of 10 samples in 2 seconds, after an announcement.
WORKER = """
import sys
print('{"flops": 600}', flush=True)
for _ in sys.stdin:
    print('{"seconds": 2, "samples": 10}', flush=True)
"""


def measured(rates, peak=100, samples=10, flops=None):
    return {"rates": rates, "peak_mb": peak, "samples": samples, "flops": flops}


def row_of(sides):
    return {"conditions": "a machine, 2 cores", "sides": sides}


SIDES = {
    "kit": measured([20, 30, 40], peak=300),
    "source": measured([5, 6, 15], peak=1500),
    "eager": measured([10, 12, 14], flops=600),
    "compiled": measured([11, 15, 99], peak=900),
    "matmul": measured([2, 3, 4], samples=1, flops=2000),
}


def test_a_side_answers_in_samples_per_second_and_tells_its_memory():
    side = bench.Side([sys.executable, "-c", WORKER], threads=1, announces=True)
    try:
        side.wait()
        side.rates.append(side.round())
        result = side.result()
    finally:
        side.close()
    assert result["rates"] == [5] and result["samples"] == 10 and result["flops"] == 600
    assert 1 < result["peak_mb"] < 1000


def test_a_side_that_ends_is_named():
    side = bench.Side([sys.executable, "-c", "input()"], threads=1, announces=False)
    with pytest.raises(project.Problem, match="input.* ended with 0"):
        side.round()


def test_every_side_gets_the_same_number_of_threads():
    show = "import os; input(); print('{\"seconds\": 1, \"samples\": %s}' % os.environ['OMP_NUM_THREADS'])"
    side = bench.Side([sys.executable, "-c", show], threads=3, announces=False)
    try:
        assert side.round() == 3
    finally:
        side.close()
    assert os.environ.get("OMP_NUM_THREADS") != "3"


def test_the_table_compares_medians_with_the_faster_pytorch():
    line = bench.table({"mlp": row_of(SIDES)}).splitlines()[-3]
    assert line == (
        "| MLP | 6.0 (5.0–15.0) | 15.0 (11.0–99.0), compiled | 30.0 (20.0–40.0) | 5.00 | 2.00 "
        "| 1,500 / 900 / 300 | 30 % |"
    )


def test_a_row_without_products_has_no_fraction_of_their_rate():
    sides = SIDES | {"eager": measured([10, 100, 100])}
    line = bench.table({"augment": row_of(sides)}).splitlines()[-3]
    assert "100.0 (10.0–100.0) |" in line and line.endswith("| 0.30 | 1,500 / 100 / 300 | – |")


def test_conditions_that_rows_share_stand_once_under_the_table():
    table = bench.table({"mlp": row_of(SIDES), "lenet": row_of(SIDES)})
    assert table.count("a machine") == 1 and table.endswith("\n\na machine, 2 cores")
    assert " 3 threads; torch " in bench.conditions(3)


def test_both_programs_know_every_row():
    import bench_pytorch

    program = (project.KIT / "benches" / "lessons.rs").read_text()
    for name in bench.ROWS:
        assert f'"{name}"' in program and name in bench_pytorch.SOURCES and name in bench_pytorch.FAST

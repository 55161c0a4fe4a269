"""What the kernel's benchmark reads from the system, and its table."""

import os
import subprocess
import sys

import bench_kernel


def test_the_memory_of_a_process_and_of_what_it_starts():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert child.pid in bench_kernel.descendants(os.getpid())
        resident, proportional = bench_kernel.memory_of(os.getpid())
        assert 0 < proportional <= resident
        assert bench_kernel.role_of(child.pid) == "companion"
    finally:
        child.communicate(b"\n")
    assert bench_kernel.memory_of(child.pid) == (0, 0)


def test_a_row_that_a_kernel_lacks_is_empty():
    table = bench_kernel.table({"plain": {"ready, s": "1.00"}, "ours": {"added, ms": "7"}})
    assert table.splitlines() == [
        "| | plain | ours |",
        "|---|---:|---:|",
        "| ready, s | 1.00 |  |",
        "| added, ms |  | 7 |",
    ]

"""Starts kernels all at once, and compiles the template again while they run.

Every kernel computes with a number of its own: before the template is compiled again, meanwhile, and
afterwards. One more kernel starts meanwhile. Then all are shut down, and nothing may be left of them.
Prints one line of JSON: kernels, survived, lost, seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOOLS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TOOLS), str(TOOLS / "tests")]
import churn
import project
import template
from kernels import Kernel

# A number is kept, and a network trains on digits that are drawn with it as seed.
START = """
:dep mnist_kit = {{ path = "../mnist_kit" }}
use mnist_kit::prelude::*;
let number: i64 = {number};
let digits: Mnist = Mnist::generated({number}, 200, 50)?;
let train: Batches = digits.train.batches(50)?.transform(&Compose::new().to_tensor()).shuffle(1);
let vs: nn::VarStore = nn::VarStore::new(Device::Cpu);
let model: Mlp = Mlp::new(vs.root(), 32)?;
let history: History = fit(&model, &vs, &train).report(Silent).run()?;
"""
QUESTION = (
    'println!("{number} {}", i64::try_from(Tensor::from_slice(&[number, 1]).sum(Kind::Int64))?);'
)


def main() -> int:
    """Runs the kernels and prints the line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kernels", type=int, default=8, help="number of kernels (default: %(default)s)")
    arguments = parser.parse_args()
    figures, problems = crowd(arguments.kernels, rebuild)
    for problem in problems:
        print(f"LOST: crowd: {problem}", file=sys.stderr)
    print(json.dumps(figures), flush=True)
    return 1 if problems else 0


def rebuild() -> None:
    """Compiles the template again, as after a change of the kit."""
    (project.KIT / "src" / "lib.rs").touch()
    with template.locked():
        template.ensure(lambda line: print(line, file=sys.stderr, flush=True))


def crowd(kernels: int, meanwhile) -> tuple[dict, list[str]]:
    """Runs the kernels; `meanwhile` is called once they work. Returns the figures and the problems."""
    # A standby would live on, as it should.
    os.environ["MNIST_KIT_STANDBY"] = "0"
    started = time.monotonic()
    before = churn.present()
    problems: dict[int, str] = {}
    running: dict[int, Kernel] = {}

    def tried(number: int, work) -> None:
        """Notes what goes wrong with a kernel, and lets the others go on."""
        try:
            work(number)
        except Exception as error:  # whatever it is, this kernel is lost
            problems.setdefault(number, f"kernel {number}: {type(error).__name__}: {error}")

    def start(number: int) -> None:
        running[number] = Kernel()
        running[number].ok(START.format(number=number))

    def ask(number: int) -> None:
        printed = running[number].ok(QUESTION).text().strip()
        if printed != f"{number} {number + 1}":
            raise ValueError(f"{printed!r} was printed")

    numbers = range(1, kernels + 1)
    with ThreadPoolExecutor(kernels + 2) as pool:

        def all_of(work, chosen) -> None:
            list(pool.map(lambda number: tried(number, work), chosen))

        all_of(start, numbers)
        all_of(ask, numbers)
        building = pool.submit(meanwhile)
        late = pool.submit(tried, kernels + 1, start)
        while not building.done():
            all_of(ask, numbers)
        building.result()
        late.result()
        all_of(ask, range(1, kernels + 2))
        for kernel in running.values():
            with contextlib.suppress(Exception):
                kernel.close()
    left = churn.remains(before)
    attempts = kernels + 1
    lost = len(problems) if not left else attempts
    return {
        "part": "crowd: kernels at once",
        "attempts": attempts,
        "survived": attempts - lost,
        "lost": lost,
        "seconds": round(time.monotonic() - started, 1),
    }, [*problems.values(), *([left] if left else [])]


if __name__ == "__main__":
    project.main(main)

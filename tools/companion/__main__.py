"""`python tools/companion EVCXR --connect FILE` or `--standby SOCKET`, started by kernel.py."""

import sys
from pathlib import Path

# Python has put this folder there; its modules are those of the package `companion`.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from companion.main import main

sys.exit(main(*sys.argv[1:]))

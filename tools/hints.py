"""Hints for errors of evcxr and cargo that do not say what a learner can do about them."""

from __future__ import annotations

import re

# What cargo says when it may not use the network, and what it says only then.
OFFLINE = re.compile(r"--offline|offline mode|offline was specified")
OFFLINE_HINT = (
    "Cells are compiled without the network. To download a crate, run `:offline 0` "
    "and the `:dep` line again; `:offline 1` goes back."
)


def hint_for(error: str) -> str | None:
    """Returns a sentence that says how to get past an error, or None."""
    return OFFLINE_HINT if OFFLINE.search(error) else None

"""JupyterLab with the settings of `make lab`: reached from this machine only, and with a token."""

from __future__ import annotations

import os
import secrets
import sys

import project


def options() -> list[str]:
    """Returns the settings, which win over the user's own configuration of Jupyter.

    A cell can do what its user can do. An open port or an empty token would give that to others.
    """
    token = os.environ.get("JUPYTER_TOKEN") or secrets.token_hex(24)
    chosen = [
        "--ServerApp.ip=127.0.0.1",
        "--ServerApp.allow_remote_access=False",
        f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={project.ROOT / 'notebooks'}",
        # No request for news and updates; tools/jupyter turns off the pop-up that asks.
        "--LabApp.news_url=None",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]
    if os.geteuid() == 0:
        print(
            "JupyterLab runs as root, so cells can change every file of this machine. "
            "An ordinary user is safer.",
            file=sys.stderr,
        )
        chosen.append("--allow-root")
    return chosen


def start(arguments: list[str]) -> None:
    """Runs JupyterLab in this process, so that the list of processes does not show the token."""
    from jupyterlab.labapp import LabApp

    # JupyterLab refuses an option that is given twice; one of the caller's own wins.
    given = {argument.partition("=")[0] for argument in arguments}
    chosen = [option for option in options() if option.partition("=")[0] not in given]
    LabApp.launch_instance([*chosen, *arguments])

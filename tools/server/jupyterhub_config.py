"""JupyterHub for a class: users of the system log in with their passwords (PAM).

Change it, or load it from a file of your own: `load_subconfig("…/jupyterhub_config.py")`.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ENVIRONMENT = ROOT / "build" / "server"
PROXY = ROOT / "build" / "proxy" / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"

c = get_config()  # noqa: F821

# On this machine only. For a class, put a web server with HTTPS in front of it.
c.JupyterHub.bind_url = os.environ.get("MNIST_KIT_HUB_URL", "http://127.0.0.1:8000")
c.ConfigurableHTTPProxy.command = [str(PROXY)]
# Everybody with an account on this machine may log in.
c.Authenticator.allow_all = True

# The server of a user: lessons in the home, then JupyterLab.
c.Spawner.cmd = [str(ENVIRONMENT / "bin" / "python"), str(ROOT / "tools" / "course.py"), "--hub"]
c.Spawner.default_url = "/lab/tree/notebooks/01_mlp.ipynb"
c.Spawner.notebook_dir = "~/mnist_kit"
c.Spawner.start_timeout = 120
c.Spawner.environment = {
    # A kernel that waits for nobody takes as much memory as one in use.
    "MNIST_KIT_STANDBY": "0",
    # Kernels that train at the same time would fight for the cores.
    "OMP_NUM_THREADS": os.environ.get("MNIST_KIT_HUB_THREADS", "1"),
    **{name: os.environ[name] for name in ("MNIST_KIT_DATA", "MNIST_KIT_WEIGHTS", "MNIST_KIT_QUICK") if name in os.environ},
}
# The number of users who may work at once: see docs/TEACHING.md for the memory of a kernel.
c.JupyterHub.active_server_limit = int(os.environ.get("MNIST_KIT_HUB_USERS", "0"))
# A kernel that has done nothing for half an hour ends, and its variables are lost; a server that
# nobody looks at ends after an hour.
c.Spawner.args = [
    "--MappingKernelManager.cull_idle_timeout=1800",
    "--MappingKernelManager.cull_interval=120",
    "--MappingKernelManager.cull_connected=True",
]
c.JupyterHub.services = [
    {
        "name": "idle-culler",
        "command": [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"],
    }
]
c.JupyterHub.load_roles = [
    {
        "name": "idle-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["idle-culler"],
    }
]

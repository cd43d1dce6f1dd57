"""The demo's login with a simulated GitHub: `nox -s demo -- --github`."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.parts import END_WITH_PARENT, HUB, LAB, ROOT

CONFIG_FILE = Path(__file__).parent / "github_demo_config.py"
CLIENT_SECRET = "demo-secret"  # noqa: S105  (of an app that only the simulated GitHub knows)


@contextmanager
def run_github(parts: Path, hub_url: str) -> Iterator[dict[str, str]]:
    """Run the simulated GitHub until the end of the block, and yield the variables that a hub needs to use it.

    The simulated GitHub is test code that is not installed, so the demo's own Python runs it from the checkout.
    """
    callback = f"{hub_url}/hub/oauth_callback"
    options = ["--port", "0", "--client-id", "demo", "--client-secret", CLIENT_SECRET, "--callback", callback]
    command = [*END_WITH_PARENT, sys.executable, "-m", "labtesting.github", *options]
    github = subprocess.Popen(
        command, cwd=ROOT / "testing" / "src", stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        first_line = github.stdout.readline() if github.stdout else ""
        variables = dict(word.split("=", 1) for word in first_line.split() if "=" in word)
        yield {
            **variables,
            "GITHUB_ADMINS": f"{variables['GITHUB_ORGANIZATION_WHITELIST']}:admins",
            "GITHUB_CLIENT_ID": "demo",
            "GITHUB_CLIENT_SECRET": CLIENT_SECRET,
            "OAUTH_CALLBACK_URL": callback,
            # The simulated GitHub loses all tokens when it stops, so a stored key would decrypt only invalid tokens.
            "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32),
            "PYTHONPATH": str(ROOT / "jupyterlab" / "src"),
            "LAB_COMMAND": str(parts / LAB.name / "bin" / "lab"),
        }
    finally:
        github.terminate()
        github.communicate()


def hub_command(parts: Path) -> list[str | Path]:
    """Return the command that starts a hub with GitHub login."""
    return [parts / HUB.name / "bin" / "python", "-m", "jupyterhub", "--config", CONFIG_FILE]

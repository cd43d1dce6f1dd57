"""Tests of the error messages of a hub that starts with missing settings."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from labhub.configuration import CONFIG_FILE

COMPLETE = {
    "JUPYTERHUB_CRYPT_KEY": "0" * 64,
    "GITHUB_CLIENT_ID": "an id",
    "GITHUB_CLIENT_SECRET": "a very secret thing",
    "OAUTH_CALLBACK_URL": "https://lab.example/hub/oauth_callback",
    "GITHUB_ORGANIZATION_WHITELIST": "lsst-sqre",
}


def run_hub(
    module: str, *arguments: str | Path, settings: dict[str, str], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a hub with only these settings until the hub exits. Return the exit status and the output."""
    environment = {key: value for key, value in os.environ.items() if key not in COMPLETE}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment | settings,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", COMPLETE)
def test_missing_setting_is_named_in_one_line(name: str, tmp_path: Path) -> None:
    settings = {key: value for key, value in COMPLETE.items() if key != name}
    done = run_hub("jupyterhub", "--config", CONFIG_FILE, settings=settings, folder=tmp_path)
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"labhub: {name}: missing, wanted ")


def test_jupyterhub_option_keeps_our_configuration(tmp_path: Path) -> None:
    done = run_hub("labhub", "--debug", settings={}, folder=tmp_path)
    assert done.returncode == 1
    assert "labhub: JUPYTERHUB_CRYPT_KEY: missing, wanted " in done.stderr

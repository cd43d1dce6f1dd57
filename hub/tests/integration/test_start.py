"""What a hub says that lacks a setting."""

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


@pytest.mark.parametrize("name", COMPLETE)
def test_a_hub_without_a_setting_ends_with_one_line_that_names_it(name: str, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in COMPLETE}
    environment |= {key: value for key, value in COMPLETE.items() if key != name}
    done = subprocess.run(
        [sys.executable, "-m", "jupyterhub", "--config", CONFIG_FILE],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith(f"labhub: {name}: missing, wanted ")


def test_an_option_of_jupyterhub_keeps_our_configuration(tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key not in COMPLETE}
    done = subprocess.run(
        [sys.executable, "-m", "labhub", "--debug"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "labhub: JUPYTERHUB_CRYPT_KEY: missing, wanted " in done.stderr

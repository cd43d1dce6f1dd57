"""Tests that the test shipper accepts filebeat.yml, and refuses settings of filebeat that it does not implement."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from filebeat.tests.shipper import filebeat_yml


def check(program: Path, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Write a configuration to a file, run the test shipper's `filebeat test config`, and return the result."""
    file = folder / "filebeat.yml"
    file.write_text(text)
    command = [str(program), "test", "config", "-c", str(file)]
    environ = os.environ | {"NODE_NAME": "node-1"}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=180, check=False)


def test_test_shipper_accepts_filebeat_yml(shipper_program: Path, tmp_path: Path) -> None:
    done = check(shipper_program, filebeat_yml(), tmp_path)
    assert (done.returncode, done.stdout) == (0, "Config OK\n"), done.stderr


@pytest.mark.parametrize(
    ("original", "changed", "error"),
    [
        ("close.on_state_change.inactive:", "close.inactive:", r"line \d+: field close.inactive not found"),
        ("- drop_event:", "- drop_everything:", r"line \d+: field drop_everything not found"),
        ("growing: true", "growing: false", "file_identity.fingerprint.growing: found false, wanted true"),
        ("type: while_pattern", "type: count", "multiline: found .*count.*, wanted type while_pattern"),
        ("pipelining: 0", "pipelining: 2", "pipelining: found 2, wanted 0"),
        ("verification_mode: full", "verification_mode: none", "ssl.verification_mode: found none, wanted full"),
        ("${NODE_NAME}", "${NODE}", "the environment variable NODE is missing or empty"),
        ("flush.timeout: 1s", "flush.timeout: soon", "invalid duration"),
    ],
)
def test_test_shipper_names_an_unsupported_setting(
    original: str, changed: str, error: str, shipper_program: Path, tmp_path: Path
) -> None:
    text = filebeat_yml()
    assert original in text
    done = check(shipper_program, text.replace(original, changed), tmp_path)
    assert done.returncode == 1
    assert re.search(error, done.stderr)
    assert done.stderr.count("\n") == 1


def test_settings_limit_duplicates_to_one_batch() -> None:
    settings = yaml.safe_load(filebeat_yml())
    output = settings["output.logstash"]
    assert (settings["filebeat.registry.flush"], output["pipelining"], len(output["hosts"])) == ("0s", 0, 1)
    assert "worker" not in output
    assert "workers" not in output

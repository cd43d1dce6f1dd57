"""Tests of the shared code: log lines, secrets and version guards. test_shared_server.py tests the HTTP servers."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from labtesting.logevents import assert_log_events

from shared.json_logs import ServiceFormatter
from shared.secret_files import SecretError, read_secret, read_secret_file
from shared.version_guard import find_untested_version
from tools.components import ROOT

# --- json_logs ---


def format_line(
    formatter: logging.Formatter, message: str, level: int = logging.INFO, extra: Mapping[str, object] | None = None
) -> str:
    """Return a log record as the JSON log line that the shared formatter creates."""
    logger = logging.getLogger("a.logger")
    return formatter.format(logger.makeRecord("a.logger", level, "f", 1, message, (), None, extra=extra or {}))


def test_a_line_has_the_fields_of_the_contract() -> None:
    line = format_line(ServiceFormatter("hub"), "two\nlines")
    assert "\n" not in line
    [event] = assert_log_events([line])
    assert event.pop("@timestamp")
    assert event == {
        "log.level": "info",
        "log.logger": "a.logger",
        "message": "two\nlines",
        "service.name": "hub",
        "event.dataset": "hub.log",
    }


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (logging.WARNING, "warning"),
        (logging.ERROR, "error"),
        (logging.CRITICAL, "critical"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_level_is_in_lower_case(level: int, name: str) -> None:
    [event] = assert_log_events([format_line(ServiceFormatter("hub"), "a message", level)])
    assert event["log.level"] == name


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"event.action": "login"}, "event.action"),
        ({"hub.size": "login"}, "hub.size"),
        ({"size": "login"}, "hub.size"),
        ({"Size": "login"}, "hub.size"),
        ({"remote": "login"}, "client.address"),
    ],
    ids=["ECS name", "own name", "no dot", "capital", "field_names"],
)
def test_extra_fields_get_names_of_the_contract(extra: dict[str, object], field: str) -> None:
    formatter = ServiceFormatter("hub", field_names={"remote": "client.address"})
    [event] = assert_log_events([format_line(formatter, "a message", extra=extra)])
    assert event[field] == "login"
    assert len(event) == 7


def test_a_dataset_replaces_the_default() -> None:
    [event] = assert_log_events([format_line(ServiceFormatter("hub", "hub.audit"), "a message")])
    assert event["event.dataset"] == "hub.audit"


def test_an_exception_is_one_line_with_its_traceback() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = logging.makeLogRecord({"name": "x", "levelname": "ERROR", "msg": "it failed", "exc_info": exc_info})
    line = ServiceFormatter("fileserver").format(record)
    assert "\n" not in line
    [event] = assert_log_events([line])
    assert event["message"] == "it failed"
    assert event["error.stack_trace"].startswith("Traceback")
    assert event["error.stack_trace"].endswith("ValueError: two\nlines")


def test_the_root_logger_writes_lines_to_standard_error() -> None:
    program = """if True:
        import logging
        from shared.json_logs import ServiceFormatter, configure_root_logger
        logging.basicConfig()
        configure_root_logger(ServiceFormatter("lab"), "WARNING")
        logging.getLogger("a").info("too low")
        logging.getLogger("a").warning("shown")
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    [event] = assert_log_events(done.stderr.splitlines())
    assert (event["message"], event["log.logger"], done.stdout) == ("shown", "a", "")


# --- secret_files ---

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("variable", "text", "wanted"),
    [
        ("hunter2", None, "hunter2"),
        (None, "hunter2\n", "hunter2"),
        ("", " hunter2 ", "hunter2"),
        (None, None, None),
        ("", None, None),
        (None, "", ""),
    ],
    ids=["variable", "file", "empty variable, file", "neither", "empty variable", "empty file"],
)
def test_a_secret_is_read(variable: str | None, text: str | None, wanted: str | None, tmp_path: Path) -> None:
    environ = {} if variable is None else {"TOKEN": variable}
    if text is not None:
        (tmp_path / "token").write_text(text)
        environ["TOKEN_FILE"] = str(tmp_path / "token")
    assert read_secret(environ, "TOKEN") == wanted


def set_both(file: Path) -> dict[str, str]:
    """Set the secret's variable in addition to the variable that names the secret's file."""
    file.write_text(SECRET)
    return {"TOKEN": SECRET}


def remove(file: Path) -> dict[str, str]:
    """Remove the file of the secret."""
    file.unlink(missing_ok=True)
    return {}


def create_folder(file: Path) -> dict[str, str]:
    """Create a folder at the path of the secret's file."""
    file.mkdir()
    return {}


def write_bytes(file: Path) -> dict[str, str]:
    """Write bytes that are not text to the secret's file."""
    file.write_bytes(SECRET.encode() + b"\xff")
    return {}


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (set_both, "TOKEN and TOKEN_FILE are both set: wanted one of them"),
        (remove, "TOKEN_FILE: cannot read {file}: No such file or directory"),
        (create_folder, "TOKEN_FILE: cannot read {file}: Is a directory"),
        (write_bytes, "TOKEN_FILE: cannot read {file}: not text"),
    ],
    ids=["both set", "no file", "a folder", "not text"],
)
def test_an_error_names_the_variable_and_no_secret(
    prepare: Callable[[Path], dict[str, str]], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    environ = prepare(file) | {"TOKEN_FILE": str(file)}
    with pytest.raises(SecretError) as raised:
        read_secret(environ, "TOKEN")
    assert str(raised.value) == message.format(file=file)
    assert SECRET not in str(raised.value)


def test_a_file_is_read_without_white_space_at_its_ends(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\n two words \n")
    assert read_secret_file(tmp_path / "token", "TOKEN_FILE") == "two words"


# --- version_guard ---


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Create metadata that simulates version 1.2 of an installed package, and return the package's name."""
    folder = tmp_path / "upstream-1.2.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: upstream\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "upstream"


@pytest.mark.parametrize(
    ("tested", "warning"),
    [
        ({"1.2"}, ""),
        ({"1.1", "1.2"}, ""),
        (
            {"1.1", "1.0"},
            "upstream 1.2 was not tested with this release (tested: 1.0, 1.1): its patches are not applied; it is slow",
        ),
    ],
    ids=["tested", "one of several", "untested"],
)
def test_an_untested_version_is_a_warning(tested: set[str], warning: str, package: str) -> None:
    assert find_untested_version(package, tested, "it is slow") == warning

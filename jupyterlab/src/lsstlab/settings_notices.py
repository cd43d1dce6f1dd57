"""Notices about settings, extensions and kernels that the lab does not use, with the error.

Jupyter's applications skip a broken configuration file or extension, and report the error only in the log, which users
cannot read. So this module creates notices from the log records of Jupyter's applications.
"""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from lsstlab.notices import PAGE_LENGTH, Notice
from lsstlab.user_settings import abbreviate, is_in_home

# Log messages of traitlets and of Jupyter Server about a configuration file. The first argument is the path of the
# file.
FILE_MESSAGE = "Exception while loading config file %s"
JSON_MESSAGE = "Invalid JSON in %s, skipping"
# Log messages of Jupyter Server about an extension. The first argument is the name of the extension.
EXTENSION_MESSAGES = {
    "%s | error adding extension (enabled: %s): %s",
    "%s | error linking extension: %s",
    "%s | extension failed loading with message: %r",
}
# Log message of jupyter_client about a kernel. The first argument is the name of the kernel.
KERNEL_MESSAGE = "Error loading kernelspec %r"
END_MARKS = (".", "?", "!", "…")
ADVICE = "Fix it, then restart your lab."
# Maximum length in characters of a path in a notice on the page. Instead of a longer path, the page shows only the file
# name.
LONGEST_PATH = 60
# Name of the file in LAB_SCRATCH whose text each terminal shows when it opens
TERMINAL_FILE = "settings-notices"


class SettingsNotices:
    """The notices about settings of this lab. When a notice is added, it replaces a notice with the same id."""

    def __init__(self) -> None:
        self._notices: dict[str, Notice] = {}
        self.failed_extensions: dict[str, str] = {}
        self.last_error = ""

    def start(self) -> None:
        """Read all log records that this process creates from now on. Remove the notices file of an earlier lab."""
        with suppress(OSError):
            terminal_file().unlink()
        create = logging.getLogRecordFactory()

        def create_and_read(*arguments: Any, **options: Any) -> logging.LogRecord:
            record = create(*arguments, **options)
            with suppress(Exception):  # for example, the arguments do not fit the message. `logging` reports this error
                self.read(record)
            return record

        logging.setLogRecordFactory(create_and_read)

    def read(self, record: logging.LogRecord) -> None:
        """Add a notice if a log record reports a broken file, extension or kernel."""
        if (record.levelno or 0) >= logging.ERROR:  # the level is None in a record that logging.makeLogRecord creates
            self.last_error = format_record(record)
        if not isinstance(record.msg, str) or not isinstance(record.args, tuple) or not record.args:
            return
        source = str(record.args[0])
        if record.msg == FILE_MESSAGE and is_in_home(source):
            self.report(abbreviate(source), format_record(record))
        elif record.msg == JSON_MESSAGE and is_in_home(source):
            self.report(abbreviate(source), find_json_error(Path(source)) or "invalid JSON")
        elif record.msg in EXTENSION_MESSAGES:
            self.failed_extensions[source] = format_record(record)
            self.report(f"the server extension {source}", format_record(record))
        elif record.msg == KERNEL_MESSAGE:
            self.report(f"the kernel {source}", format_record(record))

    def report(self, source: str, error: str, advice: str = ADVICE) -> None:
        """Add a notice that the lab does not use a file, an extension or a kernel.

        Parameters
        ----------
        source
            The path of the file, or the name of the extension or kernel.
        error
            The reason why the lab does not use `source`.
        advice
            What the user can do.
        """
        self.add(create_notice(source, " ".join(error.split()), advice))

    def withdraw(self, source: str) -> None:
        """Remove the notice about a file, extension or kernel, because its problem is solved."""
        if self._notices.pop(notice_id(source), None):
            self._write_for_terminals()

    def has(self, source: str) -> bool:
        """Return whether a notice about this file, extension or kernel exists."""
        return notice_id(source) in self._notices

    def add(self, notice: Notice) -> None:
        """Add a notice, and write all notices to the file that terminals show when they open."""
        if self._notices.get(notice.id) != notice:
            self._notices[notice.id] = notice
            self._write_for_terminals()

    def _write_for_terminals(self) -> None:
        text = "".join(f"{notice.to_terminal_line()}\n" for notice in self.current())
        with suppress(OSError):  # if the disk is full, the page shows the notices, but terminals do not
            terminal_file().write_text(text)

    def current(self) -> list[Notice]:
        """Return all notices about settings of this lab, in the order in which they were added."""
        return list(self._notices.values())


# The only SettingsNotices of this process. The launcher, the patches and the server extension add notices to it.
SETTINGS_NOTICES = SettingsNotices()


def create_notice(source: str, error: str, advice: str) -> Notice:
    """Return a notice that the lab does not use `source`. Terminals show the whole text, and the page a short text.

    In the short text, the path of `source` and the error can be shortened.
    """

    def create_text(source: str, error: str) -> str:
        return f"Your lab does not use {source}: {error}{'' if error.endswith(END_MARKS) else '.'} {advice}"

    name = source if len(source) <= LONGEST_PATH else Path(source).name
    room = PAGE_LENGTH - len(create_text(name, ""))
    shown = error if len(error) <= room else f"{error[: max(room - 1, 0)]}…"
    text = create_text(name, shown)
    return Notice(notice_id(source), "warning", text, terminal_text=create_text(source, error))


def notice_id(source: str) -> str:
    """Return the id of the notice about a file, extension or kernel."""
    return f"settings-{source}"


def terminal_file() -> Path:
    """Return the path of the file with notices that each terminal shows when it opens."""
    return Path(os.environ["LAB_SCRATCH"]) / TERMINAL_FILE


def format_record(record: logging.LogRecord) -> str:
    """Return the text of a log record's exception, or the record's message if it has no exception."""
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
    return format_exception(error) if error else record.getMessage()


def format_exception(error: BaseException) -> str:
    """Return the message of an exception. For Python's built-in exceptions, add the type, as in `KeyError: 'name'`."""
    kind = type(error)
    if not str(error):
        return kind.__name__
    return f"{kind.__name__}: {error}" if kind.__module__ == "builtins" else str(error)


def find_json_error(file: Path) -> str:
    """Return the error of an invalid JSON file, or an empty string if the file is valid."""
    try:
        json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        return format_exception(error)
    return ""

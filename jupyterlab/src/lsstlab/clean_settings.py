"""The start of a lab with clean settings: the lab first moves the user's settings into a dated folder of the home."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lsstlab import logs
from lsstlab.errors import LabError
from lsstlab.notices import Notice
from lsstlab.settings_notices import SETTINGS_NOTICES
from lsstlab.user_settings import FOLDER_VARIABLES, ignore_folders

MOVED_NOTICE = (
    "Your settings were moved to ~/{folder}. Nothing was deleted. README.txt there explains how to restore them."
)
FAILED_NOTICE = "Your lab does not use {folders}, because the lab could not move it away: {error}."
README = """\
You started your lab with clean settings on {date}. The lab moved these folders here. Nothing was deleted.

{moved}
To use a folder again, run its line in a terminal and restart your lab. The settings that you have now are kept in a
folder such as ~/.jupyter.~1~.

{commands}"""


class CleanSettingsError(LabError):
    """A wrong value of LAB_CLEAN_SETTINGS. The message contains the wrong value and the accepted values."""


@dataclass(frozen=True)
class MovedSettings:
    """The result of `move_settings`.

    Attributes
    ----------
    folder
        The new dated folder in the home.
    moved
        Names of the folders that were moved into `folder`.
    failed
        Name of each folder that could not be moved, and the operating system's error message.
    """

    folder: Path
    moved: tuple[str, ...] = ()
    failed: dict[str, str] = field(default_factory=dict)


def wants_clean_settings(environ: Mapping[str, str]) -> bool:
    """Return whether LAB_CLEAN_SETTINGS requests a lab with clean settings.

    Raises
    ------
    CleanSettingsError
        Raised if LAB_CLEAN_SETTINGS is neither empty, 0 nor 1.
    """
    text = environ.get("LAB_CLEAN_SETTINGS", "")
    if text not in {"", "0", "1"}:
        raise CleanSettingsError(f"LAB_CLEAN_SETTINGS: found {text[:20]!r}, wanted 0 or 1")
    return text == "1"


def clean_settings(home: Path) -> None:
    """Move the user's settings into a dated folder of the home, and notify the user.

    If a folder cannot be moved, the lab uses an empty folder in its place.
    """
    os.environ.pop("LAB_CLEAN_SETTINGS", None)  # without the variable, a restart does not move the settings again
    result = move_settings(home, datetime.now().astimezone())
    if result.moved:
        text = MOVED_NOTICE.format(folder=result.folder.name)
        SETTINGS_NOTICES.add(Notice("clean-settings", "info", text))
        logs.write_warning(f"the settings {', '.join(result.moved)} were moved to {result.folder}")
    if result.failed:
        ignore_folders(result.failed)
        folders = ", ".join(f"~/{name}" for name in result.failed)
        text = FAILED_NOTICE.format(folders=folders, error=next(iter(result.failed.values())))
        SETTINGS_NOTICES.add(Notice("clean-settings-failed", "warning", text))
        logs.write_warning(text)


def move_settings(home: Path, now: datetime) -> MovedSettings:
    """Move the folders with settings into a new folder of the home, and return which folders were moved.

    The function renames each folder. A rename needs no disk space and cannot stop halfway. If the folder is a link, the
    rename moves the link, not its target. No file is overwritten, because the new folder is empty.
    """
    present = [name for name in FOLDER_VARIABLES if os.path.lexists(home / name)]
    if not present:
        return MovedSettings(home)
    try:
        folder = create_dated_folder(home, now)
    except OSError as error:
        return MovedSettings(home, failed=dict.fromkeys(present, error.strerror or type(error).__name__))
    moved, failed = [], {}
    for name in present:
        try:
            # Remove the dot at the start of the name, because JupyterLab does not show files whose names start with a
            # dot.
            (home / name).rename(folder / name[1:])
            moved.append(name)
        except OSError as error:
            failed[name] = error.strerror or type(error).__name__
    with suppress(OSError):  # a full home has no space for README.txt
        if moved:
            (folder / "README.txt").write_text(describe_move(folder, moved, now))
        else:
            folder.rmdir()
    return MovedSettings(folder, tuple(moved), failed)


def create_dated_folder(home: Path, now: datetime) -> Path:
    """Create a folder such as `settings-2026-11-30-120735` in the home, and return it.

    Raises
    ------
    OSError
        Raised if the folder cannot be created.
    """
    name = f"settings-{now:%Y-%m-%d-%H%M%S}"
    number = 1
    while True:
        folder = home / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
        else:
            return folder


def describe_move(folder: Path, moved: Iterable[str], now: datetime) -> str:
    """Return the text of README.txt: which folders were moved, and the commands that move them back."""
    quoted = shlex.quote(folder.name)
    lines = [f"    {name[1:]:8} was ~/{name}\n" for name in moved]
    commands = [f"    cd; mv -T --backup=numbered {quoted}/{name[1:]} {name}\n" for name in moved]
    return README.format(date=f"{now:%Y-%m-%d %H:%M}", moved="".join(lines), commands="".join(commands))

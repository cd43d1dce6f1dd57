"""Patches of JupyterLab Server. With them, the page opens even if a setting or an extension in the home is broken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lsstlab._patches.guard import is_tested
from lsstlab.settings_notices import SETTINGS_NOTICES, find_json_error, format_exception
from lsstlab.user_settings import abbreviate, is_in_home, settings_folder

PROJECT, TESTED = "jupyterlab_server", ("2.28.1",)
EFFECT = "the page does not open if a setting of the page or a package.json of an extension in the home is broken"

ADVICE = "Fix it, then reload the page."


def tolerate_broken_settings() -> None:
    """Apply the patches of this module if the installed version of JupyterLab Server was tested."""
    if is_tested(PROJECT, TESTED, EFFECT):
        skip_broken_settings()
        keep_broken_settings()
        skip_broken_extensions()


def skip_broken_settings() -> None:
    """Override `_get_user_settings`, so that a broken file in `~/.jupyter/lab/user-settings` counts as an empty file.

    What: the page gets the default settings, and the user gets a notice with the name of the file and the error.

    Why: the page requests all settings at once. If JupyterLab Server cannot parse one file, it answers with status 500,
    and the page stays empty in this lab and in all later labs. A file can be broken because the home was full when the
    page saved the file.

    Gain: no time. The user can work, and knows which file is broken.

    Unnecessary when: JupyterLab Server skips each file that it cannot parse. At present it skips only files that do not
    satisfy their schema.
    """
    from jupyterlab_server import settings_utils
    from tornado.web import HTTPError

    read = settings_utils._get_user_settings

    def read_or_skip(settings_dir: str, schema_name: str, schema: Any) -> dict[str, Any]:
        settings: dict[str, Any] = {"warning": None, "last_modified": None, "created": None}
        file = settings_file(settings_dir, schema_name)
        try:
            if file.is_fifo():  # opening a FIFO would block the server
                raise OSError("not a file")
            settings = read(settings_dir, schema_name, schema)
            error = settings["warning"] or ("" if isinstance(settings["settings"], dict) else "not an object")
        except HTTPError as http_error:
            error = http_error.log_message or str(http_error)
        except (OSError, TypeError) as other_error:
            error = format_exception(other_error)
        source = abbreviate(file)
        if not error:
            SETTINGS_NOTICES.withdraw(source)
            return settings
        # Shorten the error to the part after "): ". An example of an error is:
        # "Failed loading settings (@jupyterlab/apputils-extension:themes): <string>:1 Unexpected ..."
        SETTINGS_NOTICES.report(source, (error.partition("): ")[2] or error).splitlines()[0], ADVICE)
        return settings | {"raw": "{}", "settings": {}}

    settings_utils._get_user_settings = read_or_skip


def keep_broken_settings() -> None:
    """Override `save_settings`, so that the page does not overwrite a broken file.

    What: before the page saves a setting, the server renames the broken file. The new name has the suffix `.broken`.

    Why: `skip_broken_settings` sends empty settings to the page instead of the broken file. When the page saves a
    setting, the page would overwrite the broken file, which the user may have written by hand.

    Gain: no time. The user loses no text.

    Unnecessary when: `skip_broken_settings` is unnecessary.
    """
    from jupyterlab_server import settings_handler

    save = settings_handler.save_settings  # type: ignore[attr-defined]  # imported there

    def rename_and_save(schemas_dir: str, settings_dir: str, schema_name: str, *arguments: Any) -> None:
        file = settings_file(settings_dir, schema_name)
        if SETTINGS_NOTICES.has(abbreviate(file)) and file.exists():
            file.rename(find_free_name(file))
        save(schemas_dir, settings_dir, schema_name, *arguments)

    settings_handler.save_settings = rename_and_save  # type: ignore[attr-defined,assignment]


def settings_file(settings_dir: str, schema_name: str) -> Path:
    """Return the path of the user's settings file for a schema such as `@jupyterlab/apputils-extension:themes`."""
    package, _, plugin = schema_name.partition(":")
    return Path(settings_dir) / package / f"{plugin}.jupyterlab-settings"


def find_free_name(file: Path) -> Path:
    """Return a path with the suffix `.broken` at which no file exists yet."""
    number = 1
    while os.path.lexists(name := file.with_name(f"{file.name}.broken" + (f"-{number}" if number > 1 else ""))):
        number += 1
    return name


def skip_broken_extensions() -> None:
    """Override `get_page_config`, so that the page opens even if the files of an extension in the home are broken.

    What: after an error, the page opens without the extensions in the home. If the error remains, the page also opens
    without the page configuration in the home. The user gets a notice with the folder and the error.

    Why: if JupyterLab Server cannot read the `package.json` of one extension, it answers the request for the page with
    status 500. A `package.json` can be broken because the home was full during `pip install`.

    Gain: no time. The user can work, and knows which file is broken.

    Unnecessary when: JupyterLab Server skips an extension that it cannot read.
    """
    from jupyterlab_server import config, handlers

    build = handlers.get_page_config  # type: ignore[attr-defined]  # imported there
    read_static = config.get_static_page_config

    def read_static_outside_home(logger: Any = None, level: str = "") -> Any:
        return read_static(logger=logger, level="sys_prefix", include_higher_levels=True)

    def build_or_reduce(labextensions_path: list[str], *arguments: Any, **options: Any) -> dict[str, Any]:
        outside_home = [path for path in labextensions_path if not is_in_home(path)]
        try:
            return build(labextensions_path, *arguments, **options)
        except Exception as error:  # a broken file of the user can raise any exception
            reason = format_exception(error)
        try:
            page_config = build(outside_home, *arguments, **options)
            folder = next(path for path in labextensions_path if is_in_home(path))
            SETTINGS_NOTICES.report(f"the extensions in {abbreviate(folder)}", find_broken(folder) or reason, ADVICE)
        except Exception:
            config.get_static_page_config = read_static_outside_home  # type: ignore[assignment]
            try:
                page_config = build(outside_home, *arguments, **options)
            finally:
                config.get_static_page_config = read_static
            SETTINGS_NOTICES.report(abbreviate(settings_folder() / "labconfig"), reason, ADVICE)
        return page_config

    handlers.get_page_config = build_or_reduce  # type: ignore[attr-defined]


def find_broken(folder: str) -> str:
    """Return the path and the error of the first `package.json` in a folder of extensions that is not valid JSON.

    If all `package.json` files are valid, return an empty string.
    """
    for file in package_files(Path(folder)):
        if error := find_json_error(file):
            return f"{file.relative_to(folder)}: {error}"
    return ""


def package_files(folder: Path) -> Iterator[Path]:
    """Yield the paths of the extensions' `package.json` files in a folder.

    The folder of an extension with a scope, such as `@jupyterlab/git`, is one level deeper than other folders.
    """
    yield from sorted(folder.glob("*/package.json"))
    yield from sorted(folder.glob("@*/*/package.json"))

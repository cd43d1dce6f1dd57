"""The folder with the objects of a site. A write replaces all files or none.

New files are first written into the subfolder `.writing`. The rename of this subfolder to `.ready` is the commit. If a
run is interrupted after the rename, the next run moves the files to their places. If a run is interrupted before the
rename, the next run deletes them.
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from labadmin.configure.site_keys import DamageError

AUTHORITY = "log-authority.pem"
NAMESPACE_FILE = "00-namespace.yaml"
# This file makes Git ignore the folder, in any repository.
IGNORE = {".gitignore": "*\n"}
# The name of the file in `.ready` that lists all files of the run, including those that were already moved
KEEP = ".keep"
HEADER = "# Written by `nox -s configure`. Change site.toml, not this file. Keep a copy of this folder: it has keys.\n"


class FolderError(Exception):
    """The output folder cannot be used. The message has the reason."""


class _Dumper(yaml.SafeDumper):
    """A YAML dumper that writes a text with several lines as a block."""


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _write_text)


def to_yaml(body: Mapping[str, Any]) -> str:
    """Return the YAML text of an object. Equal objects have equal texts."""
    return HEADER + yaml.dump(dict(body), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10**6)


class SiteFolder:
    """The folder with the objects of a site.

    Parameters
    ----------
    path
        Path of the folder. It does not have to exist.
    ours
        Names of all files that `write` may create or remove.
    """

    def __init__(self, path: Path, ours: frozenset[str]) -> None:
        self.path = path
        self._ours = ours
        self._writing, self._ready = path / ".writing", path / ".ready"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder if needed, and lock it against other runs.

        Raises
        ------
        FolderError
            Raised if the folder has files but none of `ours`, cannot be written, or is locked by another run.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            existing = {file.name for file in self.path.iterdir()}
            if existing and not existing & (self._ours | {".ready", ".writing"}):
                raise FolderError(f"{self.path}: found a folder with other files, wanted a new one: use --output")
            self.path.chmod(0o700)
            for name in existing & self._ours:
                (self.path / name).chmod(0o600)
            descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise FolderError(f"{self.path}: cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._recover()
            yield
        except BlockingIOError:
            raise FolderError(
                f"{self.path}: another `nox -s configure` is writing there: wait until it has ended"
            ) from None
        finally:
            os.close(descriptor)

    def _recover(self) -> None:
        if self._writing.exists():
            shutil.rmtree(self._writing)
        if self._ready.exists():
            self._install_ready()

    def read(self) -> dict[str, str]:
        """Return the text of each file that exists.

        Raises
        ------
        DamageError
            Raised if a file cannot be read.
        """
        found = {}
        for name in sorted(self._ours):
            try:
                found[name] = (self.path / name).read_text()
            except FileNotFoundError:
                continue
            except (OSError, UnicodeDecodeError) as error:
                why = getattr(error, "strerror", None) or "not text"
                raise DamageError(f"{name}: cannot be read: {why}") from error
        return found

    def write(self, files: Mapping[str, str]) -> None:
        """Replace all files. Files of earlier runs that are not in `files` are removed.

        Raises
        ------
        FolderError
            Raised if the files cannot be written. The old files are unchanged.
        """
        try:
            self._writing.mkdir(mode=0o700)
            for name, text in {**files, KEEP: "\n".join(files)}.items():
                write_file(self._writing / name, text)
            sync(self._writing)
            self._writing.rename(self._ready)
            sync(self.path)
            self._install_ready()
        except OSError as error:
            raise FolderError(f"{error.filename or self.path}: cannot be written: {error.strerror}") from error

    def _install_ready(self) -> None:
        """Move the files of `.ready` to their places. After an interruption, this method can be called again."""
        keep = self._ready / KEEP
        names = set(keep.read_text().split())
        for file in self._ready.iterdir():
            if file != keep:
                file.replace(self.path / file.name)
        for name in self._ours - names:
            (self.path / name).unlink(missing_ok=True)
        sync(self.path)
        self._ready.rename(self._writing)  # the next run deletes `.writing`, even if it is incomplete
        shutil.rmtree(self._writing)


def write_file(path: Path, text: str) -> None:
    """Write a file that only its owner can read, and flush it to disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Flush the entries of a folder to disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_object(name: str, text: str) -> dict[str, Any]:
    """Parse an object that an earlier run wrote, or that an administrator copied from the cluster.

    Raises
    ------
    DamageError
        Raised if the text is not the object that belongs in the file of this name.
    """
    stem, _, kind = name.removesuffix(".yaml").rpartition("-")
    try:
        body = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise DamageError(f"{name}: found text that is not YAML") from error
    if not isinstance(body, dict) or not isinstance(body.get("metadata"), dict):
        raise DamageError(f"{name}: found no Kubernetes object, wanted the {kind} {stem}")
    if (str(body.get("kind")).lower(), body["metadata"].get("name")) != (kind, stem):
        found = f"the {body.get('kind')} {body['metadata'].get('name')}"
        raise DamageError(f"{name}: found {found}, wanted the {kind} {stem}")
    return body


def read_data(name: str, text: str) -> dict[str, str]:
    """Return the data of a ConfigMap or a Secret.

    Raises
    ------
    DamageError
        Raised if the object is damaged.
    """
    data = read_object(name, text).get("data") or {}
    if not isinstance(data, dict) or not all(isinstance(value, str) for value in data.values()):
        raise DamageError(f"{name}: data: found no table of texts, wanted text values by name")
    if not name.endswith("-secret.yaml"):
        return data
    try:
        return {key: base64.b64decode(value, validate=True).decode() for key, value in data.items()}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise DamageError(f"{name}: data: found a value that is not base64-encoded text") from error

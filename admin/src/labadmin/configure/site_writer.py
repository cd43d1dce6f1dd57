"""The writer of a site's files. Its inputs are the settings and the files of the previous run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from labadmin.checkout import ROOT, read_version
from labadmin.configure.certificates import Pair
from labadmin.configure.manifests import build_objects
from labadmin.configure.problems import ConfigureError
from labadmin.configure.site_folder import AUTHORITY, IGNORE, NAMESPACE_FILE, SiteFolder, read_data, to_yaml
from labadmin.configure.site_keys import (
    KEY_NAMES,
    LOG_NAMES,
    Keys,
    LogKeys,
    create_keys,
    create_log_keys,
    read_keys,
    read_log_keys,
    renew,
    rotate_key,
)
from labadmin.configure.site_model import Site
from labadmin.configure.sources import Sources

OBJECT_FILES = (
    "hub-configmap.yaml",
    "hub-files-configmap.yaml",
    "hub-secret.yaml",
    "fileserver-configmap.yaml",
    "fileserver-secret.yaml",
    "nginx-configmap.yaml",
    "nginx-tls-secret.yaml",
    "logstashrmq-configmap.yaml",
    "logstashrmq-secret.yaml",
    "logstashrmq-tls-secret.yaml",
    "filebeat-configmap.yaml",
    "filebeat-tls-secret.yaml",
)
FILE_NAMES = frozenset({*OBJECT_FILES, AUTHORITY, NAMESPACE_FILE, *IGNORE})


@dataclass(frozen=True)
class Outcome:
    """The result of a run of `configure`.

    Attributes
    ----------
    before, after
        The data of each object before and after the run, by the name of its file.
    changed
        The files that were created, changed or removed.
    logs
        The certificates of the logs, or None if the logs are off.
    renewed
        Whether certificates of the logs were renewed without `--rotate`.
    """

    before: dict[str, dict[str, str]]
    after: dict[str, dict[str, str]]
    changed: list[str]
    logs: LogKeys | None
    renewed: bool


def write_site(site: Site, sources: Sources, folder: SiteFolder, now: datetime, rotate: str | None = None) -> Outcome:
    """Write the files of a site, if at least one has changed.

    Raises
    ------
    ConfigureError
        Raised if the requested rotation is not possible.
    DamageError
        Raised if a file of an earlier run cannot be used. Nothing is written.
    FolderError
        Raised if the folder cannot be used or written. Its files are unchanged.
    """
    with folder.locked():
        found = folder.read()
        before = {name: read_data(name, found[name]) for name in OBJECT_FILES if name in found}
        secrets = {name: data for name, data in before.items() if name.endswith("-secret.yaml")}
        keys = resolve_keys(read_keys(secrets), rotate)
        kept = read_log_keys(secrets, found.get(AUTHORITY))
        logs, renewed = resolve_log_keys(kept, site, now, rotate)
        objects = build_objects(site, sources, keys, logs, read_version())
        files = render_files(objects)
        if logs:
            files[AUTHORITY] = logs.authority.certificate + logs.authority.key
        elif AUTHORITY in found:  # keep the authority for a site that enables its logs again
            files[AUTHORITY] = found[AUTHORITY]
        changed = sorted(name for name in files | found if files.get(name) != found.get(name))
        if changed:
            folder.write(files)
    after = {name: read_data(name, text) for name, text in files.items() if name in OBJECT_FILES}
    return Outcome(before, after, changed, logs, renewed)


def resolve_keys(kept: Keys | None, rotate: str | None) -> Keys:
    """Return the tokens of the previous run, or new ones. A token that `rotate` names is replaced."""
    if kept is None:
        if rotate:
            raise ConfigureError(
                f"--rotate {rotate}: found no files of an earlier run: first run the command without --rotate"
            )
        return create_keys()
    return rotate_key(kept, rotate) if rotate in KEY_NAMES else kept


def resolve_log_keys(
    kept: LogKeys | Pair | None, site: Site, now: datetime, rotate: str | None
) -> tuple[LogKeys | None, bool]:
    """Return the certificates of the logs, and whether one was renewed without `--rotate`.

    The certificates are None if the logs are off.
    """
    asked = rotate if rotate in LOG_NAMES else None
    if site.shipping is None:
        if asked:
            raise ConfigureError(
                f"--rotate {rotate}: the logs are off: add [logs] to site.toml, or remove enabled = false"
            )
        return None, False
    if not isinstance(kept, LogKeys):
        return create_log_keys(now, kept), False
    logs = renew(kept, now, asked)
    return logs, logs != kept and not asked


def render_files(objects: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the text of all files: the objects, a copy of the hub's namespace manifest, and .gitignore."""
    namespace = (ROOT / "hub/kubernetes" / NAMESPACE_FILE).read_text()
    return {NAMESPACE_FILE: namespace, **IGNORE} | {name: to_yaml(body) for name, body in objects.items()}

"""The command `labadmin configure`."""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from labadmin.checkout import ROOT
from labadmin.configure.certificates import read_certificates
from labadmin.configure.problems import ConfigureError
from labadmin.configure.rollout import list_commands
from labadmin.configure.site_file import read_site
from labadmin.configure.site_folder import FolderError, SiteFolder
from labadmin.configure.site_keys import ROTATABLE, DamageError
from labadmin.configure.site_writer import FILE_NAMES, Outcome, write_site

SUMMARY = "write the ConfigMaps and Secrets of a site"
DESCRIPTION = (
    "Write the ConfigMaps and Secrets of a site from its settings, and print the commands that apply them. "
    "docs/admin/configure.md describes the files."
)
OK, FAILED = 0, 1
DAMAGE = (
    "Nothing was written. Restore the file from a copy or from the cluster: docs/admin/configure.md. If you delete the "
    "folder instead, the next run replaces all keys."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "file", nargs="?", type=Path, default=Path("site.toml"), help="settings of the site (default: site.toml)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "site", help="folder to write (default: site)")
    parser.add_argument("--rotate", metavar="NAME", choices=ROTATABLE, help=f"replace one of {', '.join(ROTATABLE)}")


def format_report(outcome: Outcome, folder: Path, rotate: str | None) -> list[str]:
    """Return the lines of the report: the changes, and the next commands."""
    lines = []
    if not outcome.changed:
        lines.append(f"{folder}: nothing has changed")
    elif not outcome.before:
        lines.append(
            f"{folder}: {len(outcome.changed)} files written. Keep a copy: the keys exist only here and in the cluster."
        )
    else:
        lines.append(f"{folder}: changed {', '.join(outcome.changed)}")
    if certificate := outcome.after.get("nginx-tls-secret.yaml", {}).get("tls.crt"):
        end = read_certificates(certificate)[0].not_valid_after_utc
        lines.append(f"certificate of nginx: valid until {end:%Y-%m-%d}; you must renew it")
    if outcome.renewed:
        lines.append("certificates of the logs were renewed: less than a third of their validity period was left")
    if outcome.logs:
        end = min(pair.first.not_valid_after_utc for pair in (outcome.logs.relay, outcome.logs.filebeat))
        lines.append(f"certificates of the logs: valid until {end:%Y-%m-%d}; a run in the last third renews them")
    else:
        lines.append("logs: off")
    if outcome.changed:
        lines += ["", "Apply the files:", f"  kubectl apply -f {folder}"]
        lines += [f"  {command}" for command in list_commands(outcome.before, outcome.after)]
    if not outcome.before:
        names = ["fileserver", "hub", "nginx", *(["logstashrmq", "filebeat"] if outcome.logs else [])]
        lines.append("Then apply the components (without the CSI driver for NFS: docs/admin/storage.md):")
        lines.append(f"  kubectl apply {' '.join(f'-f {name}/kubernetes' for name in names)}")
    if rotate == "log-authority":
        lines += ["When filebeat has restarted on every node, run the second step: --rotate log-certificates"]
    return lines


def run(options: argparse.Namespace) -> int:
    """Write the files and print a report, or print the reason why nothing was written. Return the exit status."""
    now = datetime.now(UTC)
    output: Path = options.output.resolve()
    shown = output.relative_to(Path.cwd()) if output.is_relative_to(Path.cwd()) else output
    try:
        site, sources = read_site(options.file, os.environ, now)
        outcome = write_site(site, sources, SiteFolder(output, FILE_NAMES), now, options.rotate)
    except (ConfigureError, FolderError) as error:
        print(error, file=sys.stderr)
        return FAILED
    except DamageError as error:
        print(f"{shown}/{error}\n{DAMAGE}", file=sys.stderr)
        return FAILED
    print("\n".join(format_report(outcome, shown, options.rotate)))
    return OK

"""Write the ConfigMaps and Secrets of a site: `nox -s configure -- site.toml`.

docs/admin/configure.md says what is written, and what to do with it.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from tools.components import ROOT
from tools.configure.certificates import read_certificates
from tools.configure.effects import commands
from tools.configure.folder import FolderError, SiteFolder
from tools.configure.keys import ROTATABLE, DamageError
from tools.configure.problems import ConfigureError
from tools.configure.run import OURS, Outcome, run
from tools.configure.site import read_site

DAMAGE = (
    "Nothing was written. Put a copy of the file back, or what the cluster has: docs/admin/configure.md. Without the "
    "folder, all keys are made anew."
)


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="nox -s configure --", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=Path("site.toml"), help="the site's settings: site.toml")
    parser.add_argument("--output", type=Path, default=ROOT / "site", help="the folder to write: site")
    parser.add_argument("--rotate", metavar="NAME", choices=ROTATABLE, help=f"make anew: {', '.join(ROTATABLE)}")
    return parser.parse_args(arguments)


def report(outcome: Outcome, folder: Path, rotate: str | None) -> list[str]:
    """Say what was done, and what is to be done."""
    told = []
    if not outcome.changed:
        told.append(f"{folder}: nothing has changed")
    elif not outcome.before:
        told.append(f"{folder}: {len(outcome.changed)} files written. Keep a copy: the keys are nowhere else.")
    else:
        told.append(f"{folder}: changed {', '.join(outcome.changed)}")
    if certificate := outcome.after.get("nginx-tls-secret.yaml", {}).get("tls.crt"):
        end = read_certificates(certificate)[0].not_valid_after_utc
        told.append(f"certificate of nginx: valid until {end:%Y-%m-%d}, renewed by you")
    if outcome.renewed:
        told.append("certificates of the logs were renewed: less than a third of their time was left")
    if outcome.logs:
        end = min(pair.first.not_valid_after_utc for pair in (outcome.logs.relay, outcome.logs.filebeat))
        told.append(f"certificates of the logs: valid until {end:%Y-%m-%d}, renewed by a run in their last third")
    else:
        told.append("logs: off")
    if outcome.changed:
        told += ["", "To apply it:", f"  kubectl apply -f {folder}"]
        told += [f"  {command}" for command in commands(outcome.before, outcome.after)]
    if not outcome.before:
        names = ["fileserver", "hub", "nginx", *(["logstashrmq", "filebeat"] if outcome.logs else [])]
        told.append("and then the components (other storage than NFS: docs/admin/deploy.md):")
        told.append(f"  kubectl apply {' '.join(f'-f {name}/kubernetes' for name in names)}")
    if rotate == "log-authority":
        told += ["When filebeat has restarted on every node, the second step: --rotate log-certificates"]
    return told


def main(arguments: list[str]) -> None:
    """Do it, or say why not."""
    given = parse(arguments)
    now = datetime.now(UTC)
    output: Path = given.output.resolve()
    shown = output.relative_to(Path.cwd()) if output.is_relative_to(Path.cwd()) else output
    try:
        site, sources = read_site(given.file, os.environ, now)
        outcome = run(site, sources, SiteFolder(output, OURS), now, given.rotate)
    except ConfigureError as error:
        sys.exit(str(error))
    except DamageError as error:
        sys.exit(f"{shown}/{error}\n{DAMAGE}")
    except FolderError as error:
        sys.exit(f"{error}")
    print("\n".join(report(outcome, shown, given.rotate)))


if __name__ == "__main__":
    main(sys.argv[1:])

"""A complete sample site, for which tests run `labadmin configure`."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from labadmin.configure.site_file import read_site
from labadmin.configure.site_folder import SiteFolder
from labadmin.configure.site_writer import FILE_NAMES, Outcome, write_site
from labtesting.certificates import Authority

from tools.components import ROOT

HOSTNAME = "lab.example.org"
# Host name of the second hub in site.example.toml
OTHER_NAME = "other.example.org"
SMALL = f"""
hostname = "{HOSTNAME}"
[github]
client_id = "an-id"
client_secret = {{ file = "secrets/github-client-secret" }}
organizations = ["lsst-sqre"]
[nginx]
certificate = "secrets/fullchain.pem"
key = {{ file = "secrets/privkey.pem" }}
"""
LOGS = """
[logs.amqp]
host = ["rabbit.example.org"]
user = "logs"
password = { environment = "AMQP_PASSWORD" }
exchange = "logs"
"""
ENVIRON = {
    "AMQP_PASSWORD": "made-up-amqp-password",
    "GITHUB_CLIENT_SECRET": "made-up-client-secret",
    "HUB_DATABASE_URL": "postgresql+psycopg://hub:made-up@db.example.org/hub",
}


@dataclass
class SampleSite:
    """A folder with site.toml, the files that site.toml may name, and the output.

    Attributes
    ----------
    folder
        Folder of site.toml.
    environ
        Additional environment variables.
    """

    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: dict(ENVIRON))

    @classmethod
    def make(cls, folder: Path, text: str = SMALL) -> SampleSite:
        """Create a site with valid files."""
        secrets = folder / "secrets"
        secrets.mkdir(parents=True)
        authority = Authority(folder)
        authority.write(secrets, HOSTNAME, OTHER_NAME)
        (secrets / "tls.crt").rename(secrets / "fullchain.pem")
        (secrets / "tls.key").rename(secrets / "privkey.pem")
        authority.write(folder / "client", "relay")
        (folder / "client/tls.crt").rename(secrets / "broker-client.crt")
        (folder / "client/tls.key").rename(secrets / "broker-client.key")
        for name in ("github-ca.crt", "database-ca.crt", "broker-ca.crt"):
            (folder / name).write_text((folder / "ca.crt").read_text())
        (folder / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (folder / "group").write_text("root:x:0:\n")
        (folder / "menu.toml").write_text((ROOT / "hub/src/labhub/data/menu.toml").read_text())
        (secrets / "github-client-secret").write_text("made-up-client-secret\n")
        (secrets / "amqp-password").write_text("made-up-amqp-password\n")
        (secrets / "database-url").write_text(ENVIRON["HUB_DATABASE_URL"])
        site = cls(folder)
        site.environ |= {
            "NGINX_TLS_KEY": (secrets / "privkey.pem").read_text(),
            "AMQP_TLS_KEY": (secrets / "broker-client.key").read_text(),
        }
        site.write_settings(text)
        return site

    @property
    def output(self) -> Path:
        """The output folder."""
        return self.folder / "out"

    def write_settings(self, text: str) -> None:
        """Write site.toml."""
        (self.folder / "site.toml").write_text(text)

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run the command as `nox -s configure` does.

        Returns
        -------
        str
            Output of the command; its error output if an exit status other than 0 is expected.
        """
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "labadmin",
                "configure",
                self.folder / "site.toml",
                "--output",
                self.output,
                *arguments,
            ],
            cwd=ROOT,
            env=os.environ | self.environ,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return (done.stderr if code else done.stdout).replace(f"{self.folder}/", "")

    def configure(self, rotate: str | None = None, now: datetime | None = None) -> Outcome:
        """Run the command in this process. It uses `now` as the current time, for example in new certificates."""
        settings, sources = read_site(self.folder / "site.toml", self.environ, datetime.now(UTC))
        return write_site(settings, sources, SiteFolder(self.output, FILE_NAMES), now or datetime.now(UTC), rotate)

    def files(self) -> dict[str, str]:
        """Return the texts of the files in the output folder, by file name."""
        return {file.name: file.read_text() for file in sorted(self.output.iterdir()) if file.is_file()}

    def objects(self) -> list[dict[str, Any]]:
        """Return all objects in the output folder."""
        return [yaml.safe_load(file.read_text()) for file in sorted(self.output.glob("*.yaml"))]

    def data(self, file: str) -> dict[str, str]:
        """Return the decoded data of the object in a file."""
        body = yaml.safe_load((self.output / file).read_text())
        if body["kind"] == "Secret":
            return {name: base64.b64decode(text).decode() for name, text in body["data"].items()}
        data: dict[str, str] = body.get("data", {})  # an empty ConfigMap has no data
        return data

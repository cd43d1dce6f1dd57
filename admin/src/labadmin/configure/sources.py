"""The reader of the files and environment variables that site.toml names. It checks their contents."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from labadmin.configure.certificates import (
    CertificateError,
    KeyFileError,
    Pair,
    check_dates,
    check_hostname,
    check_pair,
    read_certificates,
)
from labadmin.configure.fields import Secret
from labadmin.configure.logs_model import Amqp
from labadmin.configure.menu import Menu, write_menu
from labadmin.configure.problems import Problem, format_problem, list_problems, sort_problems
from labadmin.configure.site_model import Database, Github, Labs, Nginx, Site
from labadmin.configure.toml_lines import find_lines

# The database URLs that the hub accepts start with one of these.
DATABASES = ("postgresql+psycopg://", "sqlite:////")


class SourceError(Exception):
    """A file or a variable cannot be used. The message has the reason."""


@dataclass
class Sources:
    """The contents of the files and variables that site.toml names. The keys are the file names in the containers.

    Attributes
    ----------
    hub_files
        Files in /etc/jupyterlabdemo.
    hub_secrets, relay_secrets
        Files in /run/secrets/<component>.
    nginx_tls
        `tls.crt` and `tls.key`; empty if cert-manager writes them.
    problems
        Problems of all files and variables.
    """

    hub_files: dict[str, str] = field(default_factory=dict)
    hub_secrets: dict[str, str] = field(default_factory=dict)
    relay_secrets: dict[str, str] = field(default_factory=dict)
    nginx_tls: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class SourceReader:
    """A reader of the files and environment variables that site.toml names.

    Parameters
    ----------
    folder
        Folder of site.toml. Relative paths start there.
    environ
        Environment variables.
    now
        Time at which certificates must be valid.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str], now: datetime) -> None:
        self._folder = folder
        self._environ = environ
        self._now = now
        self._found = Sources()

    def read(self, site: Site) -> Sources:
        """Read all files and variables. Problems are returned, not raised."""
        self._read_github(site.github)
        self._read_labs(site.labs)
        if site.database:
            self._read_database(site.database)
        self._read_nginx(site.nginx, site.hostname)
        if site.shipping and site.shipping.amqp:
            self._read_amqp(site.shipping.amqp)
        elif site.shipping:
            problem = "missing, wanted the table [logs.amqp], or enabled = false in [logs]"
            self._found.problems.append(Problem(("logs", "amqp"), problem))
        return self._found

    @contextmanager
    def _collect_problems(self, *path: str | int) -> Iterator[None]:
        """Store an error as a problem of this key."""
        try:
            yield
        except (SourceError, CertificateError) as error:
            self._found.problems.append(Problem(path, str(error)))

    def _read_text(self, name: str) -> str:
        path = self._folder / Path(name).expanduser()
        try:
            text = path.read_text()
        except OSError as error:
            raise SourceError(f"cannot read {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise SourceError(f"cannot read {path}: it is not text") from error
        if not text.strip():
            raise SourceError(f"the file {path} is empty")
        return text

    def _read_secret(self, source: Secret) -> str:
        if source.file is not None:
            return self._read_text(source.file)
        text = self._environ.get(str(source.environment), "")
        if not text.strip():
            raise SourceError(f"the environment variable {source.environment} is missing or empty")
        return text

    def _read_line(self, source: Secret) -> str:
        text = self._read_secret(source).strip()
        if len(text.splitlines()) > 1:
            raise SourceError(f"found {len(text.splitlines())} lines in {_describe(source)}, wanted one line")
        return text

    def _read_authority(self, name: str) -> str:
        text = self._read_text(name)
        with _prefix_errors(name):
            for certificate in read_certificates(text):
                check_dates(certificate, self._now)
        return text

    def _read_github(self, github: Github) -> None:
        with self._collect_problems("github", "client_secret"):
            self._found.hub_secrets["GITHUB_CLIENT_SECRET"] = self._read_line(github.client_secret)
        if github.authority:
            with self._collect_problems("github", "authority"):
                self._found.hub_files["github-ca.crt"] = self._read_authority(github.authority)

    def _read_labs(self, labs: Labs) -> None:
        files = self._found.hub_files
        for name, path in (("passwd", labs.passwd), ("group", labs.group)):
            if path:
                with self._collect_problems("labs", name):
                    files[name] = self._read_text(path)
        if labs.menu and (labs.images or labs.sizes):
            problem = "found a file together with [[labs.images]] or [[labs.sizes]], wanted the file or the tables"
            self._found.problems.append(Problem(("labs", "menu"), problem))
        elif labs.menu:
            with self._collect_problems("labs", "menu"):
                files["menu.toml"] = self._read_text(labs.menu)
                self._check_menu(labs.menu, files["menu.toml"])
        elif labs.images and labs.sizes:
            files["menu.toml"] = write_menu(labs.images, labs.sizes)
        elif labs.images or labs.sizes:
            given, missing = ("images", "sizes") if labs.images else ("sizes", "images")
            problem = f"found no [[labs.{missing}]], wanted both tables or neither"
            self._found.problems.append(Problem(("labs", given), problem))

    def _check_menu(self, name: str, text: str) -> None:
        try:
            Menu.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise SourceError(f"{name} is not valid TOML: {error}") from error
        except ValidationError as error:
            lines = find_lines(text)
            problems = sort_problems(list_problems(error, Menu), lines)
            self._found.problems += [
                Problem(("labs", "menu"), format_problem(f"in {name}", problem, lines)) for problem in problems
            ]

    def _read_database(self, database: Database) -> None:
        with self._collect_problems("database", "url"):
            text = self._read_line(database.url)
            if not text.startswith(DATABASES):
                wanted = "postgresql+psycopg://user:password@host/database"
                raise SourceError(f"found {len(text)} characters in {_describe(database.url)}, wanted {wanted}")
            self._found.hub_secrets["HUB_DATABASE_URL"] = text
        if database.authority:
            with self._collect_problems("database", "authority"):
                self._found.hub_files["database-ca.crt"] = self._read_authority(database.authority)

    def _read_nginx(self, nginx: Nginx, hostname: str) -> None:
        if nginx.cert_manager:
            for name in ("certificate", "key"):
                if getattr(nginx, name) is not None:
                    problem = "found a value with cert_manager = true, wanted none: cert-manager writes the Secret"
                    self._found.problems.append(Problem(("nginx", name), problem))
            return
        pair = self._read_pair(("nginx",), nginx.certificate, nginx.key, "or cert_manager = true")
        if pair and nginx.certificate:
            for name in (hostname, *nginx.other_names):
                with self._collect_problems("nginx", "certificate"), _prefix_errors(nginx.certificate):
                    check_hostname(pair.first, name)
            self._found.nginx_tls = {"tls.crt": pair.certificate, "tls.key": pair.key}

    def _read_pair(self, table: tuple[str, ...], certificate: str | None, key: Secret | None, more: str) -> Pair | None:
        """Read a certificate and its key."""
        for name, value, wanted in (
            ("certificate", certificate, "the path of a file"),
            ("key", key, 'the key of the certificate, as { file = "PATH" }'),
        ):
            if value is None:
                problem = Problem((*table, name), f"missing, wanted {wanted}{f', {more}' if more else ''}")
                self._found.problems.append(problem)
        if certificate is None or key is None:
            return None
        texts: list[str] = []
        with self._collect_problems(*table, "certificate"):
            texts.append(self._read_text(certificate))
        with self._collect_problems(*table, "key"):
            texts.append(self._read_secret(key))
        if len(texts) < 2:
            return None
        pair = Pair(*texts)
        try:
            check_pair(pair, self._now)
        except CertificateError as error:
            name, where = ("key", _describe(key)) if isinstance(error, KeyFileError) else ("certificate", certificate)
            self._found.problems.append(Problem((*table, name), f"{where}: {error}"))
            return None
        return pair

    def _read_amqp(self, amqp: Amqp) -> None:
        secrets, table = self._found.relay_secrets, ("logs", "amqp")
        with self._collect_problems(*table, "password"):
            secrets["AMQP_PASSWORD"] = self._read_line(amqp.password)
        if amqp.authority:
            with self._collect_problems(*table, "authority"):
                secrets["broker-ca.crt"] = self._read_authority(amqp.authority)
        if amqp.certificate or amqp.key:
            pair = self._read_pair(table, amqp.certificate, amqp.key, "")
            if pair:
                secrets |= {"broker-client.crt": pair.certificate, "broker-client.key": pair.key}
        if amqp.queue and not amqp.declare:
            problem = "found a queue, but declare is not true: set declare = true, or remove the queue"
            self._found.problems.append(Problem((*table, "queue"), problem))
        if amqp.unroutable == "dead-letter" and not amqp.dead_letter:
            problem = 'missing, wanted "EXCHANGE/KEY" or "/QUEUE", because unroutable is "dead-letter"'
            self._found.problems.append(Problem((*table, "dead_letter"), problem))


def _describe(source: Secret) -> str:
    return source.file if source.file is not None else f"the variable {source.environment}"


@contextmanager
def _prefix_errors(file: str) -> Iterator[None]:
    """Put the name of the file in front of an error about its certificate."""
    try:
        yield
    except CertificateError as error:
        raise CertificateError(f"{file}: {error}") from error

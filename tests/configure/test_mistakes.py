"""A mistake in site.toml is told in one line: the key, what was found, what is wanted, and the line."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from labtesting.certificates import Authority

from tests.configure.sample import HOSTNAME, LOGS, SMALL, SampleSite
from tools.configure.problems import ConfigureError
from tools.configure.site import read_site

SECRET = '{ file = "PATH" } or { environment = "NAME" }'
# What stands in the site of the tests, what somebody writes there, and what they read.
MISTAKES = {
    "a key that is misspelt": (
        "organizations =",
        "organisations =",
        "site.toml, line 3: github.organizations: missing, wanted a list of \"org\" and \"org:team\", at least one: whose "
        "members may log in\n"
        "site.toml, line 6: github.organisations: found a key that is not known, wanted organizations",
    ),
    "a key in another's table": (
        "[nginx]",
        "[nginx]\nidle_seconds = 60",
        "site.toml, line 8: nginx.idle_seconds: found a key that is not known, wanted it in the table [labs]",
    ),
    "a key that is below a table's header": (
        'client_id = "an-id"',
        'client_id = "an-id"\ncontact = "us"',
        "site.toml, line 5: github.contact: found a key that is not known, wanted it above the first table",
    ),
    "a key that nobody has heard of": (
        "[github]",
        "colour = 1\n[github]",
        "site.toml, line 3: colour: found a key that is not known, wanted one of hostname, contact, github, labs, database, "
        "storage, nginx, logs",
    ),
    "a URL for a name": (
        f'hostname = "{HOSTNAME}"',
        f'hostname = "https://{HOSTNAME}/"',
        'site.toml, line 2: hostname: found "https://lab.example.org/", wanted the name that people type, alone and in lower '
        "case, like lab.example.org",
    ),
    "a missing name": (
        f'hostname = "{HOSTNAME}"',
        "",
        "site.toml: hostname: missing, wanted the name that people type, alone and in lower case, like lab.example.org",
    ),
    "a secret in place": (
        '{ file = "secrets/github-client-secret" }',
        '"hunter2"',
        f"site.toml, line 5: github.client_secret: found a value in place, wanted {SECRET}: no secret stands in this file",
    ),
    "a secret from two places": (
        '{ file = "secrets/github-client-secret" }',
        '{ file = "a", environment = "B" }',
        "site.toml, line 5: github.client_secret: found a table, wanted a client secret of the OAuth app, as " + SECRET,
    ),
    "a secret from nowhere": (
        '{ file = "secrets/github-client-secret" }',
        '{ value = "hunter2" }',
        "site.toml, line 5: github.client_secret.value: found a key that is not known, wanted one of file, environment",
    ),
    "a secret's file that is not there": (
        "secrets/github-client-secret",
        "secrets/nowhere",
        "site.toml, line 5: github.client_secret: found secrets/nowhere, which cannot be read: No such file or directory",
    ),
    "a secret of many lines": (
        "secrets/github-client-secret",
        "passwd-of-two",
        "site.toml, line 5: github.client_secret: found 2 lines in passwd-of-two, wanted one",
    ),
    "a variable that is not set": (
        "AMQP_PASSWORD",
        "NOT_SET",
        "site.toml, line 14: logs.amqp.password: found the variable NOT_SET missing or empty in the environment",
    ),
    "a number in quotes": (
        "[nginx]",
        '[labs]\nidle_seconds = "3600"\n[nginx]',
        'site.toml, line 8: labs.idle_seconds: found "3600", wanted seconds, 0: never',
    ),
    "a number that is too large": (
        'client_id = "an-id"',
        'client_id = "an-id"\nrefresh_seconds = 100000',
        "site.toml, line 5: github.refresh_seconds: found 100000, wanted 1 to 86400 seconds",
    ),
    "an empty text": (
        '"an-id"',
        '""',
        'site.toml, line 4: github.client_id: found "", wanted the client id of the OAuth app at GitHub',
    ),
    "nobody who may log in": (
        '["lsst-sqre"]',
        "[]",
        "site.toml, line 6: github.organizations: found an empty list, wanted a list of \"org\" and \"org:team\", at least one: "
        "whose members may log in",
    ),
    "a text for a list": (
        '["lsst-sqre"]',
        '"lsst-sqre"',
        'site.toml, line 6: github.organizations: found "lsst-sqre", wanted a list of "org" and "org:team", at least one: '
        "whose members may log in",
    ),
    "no organization, over several lines": (
        '["lsst-sqre"]',
        '[\n  "lsst-sqre",\n  "the team",\n]',
        'site.toml, line 8: github.organizations[2]: found "the team", wanted a list of "org" and "org:team", at least one: '
        "whose members may log in",
    ),
    "an administrator by the login": (
        'client_id = "an-id"',
        'client_id = "an-id"\nadmins = [583231, "ada"]',
        'site.toml, line 5: github.admins[2]: found "ada", wanted a list of GitHub ids (numbers: '
        'https://api.github.com/users/LOGIN has it) and "org:team"',
    ),
    "a menu in two places": (
        "[nginx]",
        '[labs]\nmenu = "menu.toml"\n[[labs.images]]\nkey = "a"\ntitle = "A"\nimage = "a:1"\n[nginx]',
        "site.toml, line 8: labs.menu: found a file, and images or sizes beside it, wanted one of both",
    ),
    "half a menu": (
        "[nginx]",
        '[[labs.images]]\nkey = "a"\ntitle = "A"\nimage = "a:1"\n[nginx]',
        "site.toml, line 7: labs.images: found no sizes beside it, wanted both or neither",
    ),
    "a lab of no memory": (
        "[nginx]",
        '[[labs.sizes]]\nkey = "a"\ntitle = "A"\ncpu = "1"\nmemory = "4 GB"\n[nginx]',
        'site.toml, line 11: labs.sizes[1].memory: found "4 GB", wanted an amount of memory, like "4Gi"',
    ),
    "a menu's file with a mistake": (
        "[nginx]",
        '[labs]\nmenu = "bad-menu.toml"\n[nginx]',
        "site.toml, line 8: labs.menu: in bad-menu.toml: sizes: missing, wanted tables [[sizes]]\n"
        "site.toml, line 8: labs.menu: in bad-menu.toml, line 4: images[1].name: found a key that is not known, wanted one of "
        "key, title, description, image",
    ),
    "no certificate": (
        'certificate = "secrets/fullchain.pem"',
        "",
        "site.toml, line 7: nginx.certificate: missing, wanted the path of a file, or cert_manager = true",
    ),
    "a certificate for another name": (
        f'hostname = "{HOSTNAME}"',
        'hostname = "hub.example.org"',
        "site.toml, line 8: nginx.certificate: secrets/fullchain.pem: found a certificate for lab.example.org, wanted one for "
        "hub.example.org",
    ),
    "a certificate that has expired": (
        'certificate = "secrets/fullchain.pem"\nkey = { file = "secrets/privkey.pem" }',
        'certificate = "old/tls.crt"\nkey = { file = "old/tls.key" }',
        "site.toml, line 8: nginx.certificate: old/tls.crt: found a certificate that expired on 2026-10-01, wanted one that is "
        "valid",
    ),
    "another certificate's key": (
        "secrets/privkey.pem",
        "secrets/broker-client.key",
        "site.toml, line 9: nginx.key: secrets/broker-client.key: found the key of another certificate, wanted the one of the "
        "certificate beside it",
    ),
    "a certificate for a key": (
        "secrets/privkey.pem",
        "secrets/fullchain.pem",
        "site.toml, line 9: nginx.key: secrets/fullchain.pem: found no key that can be read, wanted PEM",
    ),
    "a certificate after its chain": (
        "secrets/fullchain.pem",
        "wrong-order.pem",
        "site.toml, line 8: nginx.certificate: wrong-order.pem: found the key's own certificate after others, wanted it first, "
        "then its chain",
    ),
    "certificates from two places": (
        "[nginx]",
        "[nginx]\ncert_manager = true",
        "site.toml, line 9: nginx.certificate: found it beside cert_manager = true, which writes the Secret itself, wanted one "
        "of both\n"
        "site.toml, line 10: nginx.key: found it beside cert_manager = true, which writes the Secret itself, wanted one of both",
    ),
    "a broker with its port": (
        '["rabbit.example.org"]',
        '["rabbit.example.org:5671"]',
        'site.toml, line 12: logs.amqp.host[1]: found "rabbit.example.org:5671", wanted a list of the brokers\' names, without '
        "ports, at least one",
    ),
    "a broker's URL with its password": (
        '["rabbit.example.org"]',
        '["amqps://logs:hunter2@rabbit.example.org"]',
        'site.toml, line 12: logs.amqp.host[1]: found "amqps://...@rabbit.example.org", wanted a list of the brokers\' names, '
        "without ports, at least one",
    ),
    "a queue that nobody declares": (
        'exchange = "logs"',
        'exchange = "logs"\nqueue = "logs"',
        "site.toml, line 16: logs.amqp.queue: found a queue, wanted none unless declare = true",
    ),
    "logs without a broker": (
        LOGS,
        "[logs]\n",
        "site.toml, line 10: logs.amqp: missing, wanted the table [logs.amqp], or enabled = false above it",
    ),
    "a database of another kind": (
        "[nginx]",
        '[database]\nurl = { environment = "GITHUB_CLIENT_SECRET" }\n[nginx]',
        "site.toml, line 8: database.url: found 21 characters in the variable GITHUB_CLIENT_SECRET, wanted "
        "postgresql+psycopg://user:password@host/database",
    ),
    "no TOML": ("[nginx]", "[nginx", "site.toml: found no TOML: Expected ']' at the end of a table declaration (at line 7, column 7)"),
    "a table for a text": (
        "[github]",
        "[github]\nurl = { a = 1 }",
        "site.toml, line 4: github.url: found a table, wanted the https URL of a GitHub Enterprise",
    ),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SampleSite:
    """Give a site with more files, each of which will not do."""
    site = SampleSite.make(tmp_path_factory.mktemp("site"))
    folder = site.folder
    (folder / "passwd-of-two").write_text("one\ntwo\n")
    (folder / "bad-menu.toml").write_text('[[images]]\nkey = "a"\ntitle = "A"\nname = "b"\nimage = "a:1"\n')
    authority = Authority(folder)
    authority.write(folder / "old", HOSTNAME, start=timedelta(days=-100), end=timedelta(days=-1))
    chain = [folder / "ca.crt", folder / "secrets/fullchain.pem"]
    (folder / "wrong-order.pem").write_text("".join(file.read_text() for file in chain))
    return site


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told(mistake: str, site: SampleSite) -> None:
    there, written, says = MISTAKES[mistake]
    text = SMALL + LOGS
    assert there in text
    site.say(text.replace(there, written))
    with pytest.raises(ConfigureError) as refused:
        read_site(site.folder / "site.toml", site.environ, datetime.now(UTC))
    told = str(refused.value).replace(f"{site.folder}/", "")
    if "expired" in says:
        says, told = (part.partition("expired on ")[0] + part.partition("expired on ")[2][10:] for part in (says, told))
    assert told == says
    assert "hunter2" not in told


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(site: SampleSite) -> None:
    text = SMALL.replace('"an-id"', "1").replace('["lsst-sqre"]', '["a b"]').replace("[nginx]", "[nginx]\nhttp3 = 1")
    site.say(text)
    lines = [line.split(": ")[:2] for line in site.run(code=1).splitlines()]
    assert lines == [
        ["site.toml, line 4", "github.client_id"],
        ["site.toml, line 6", "github.organizations[1]"],
        ["site.toml, line 8", "nginx.http3"],
    ]
    assert not site.output.exists()


def test_a_file_that_is_not_there_says_how_to_begin(tmp_path: Path) -> None:
    told = SampleSite(tmp_path).run(code=1)
    assert told == "site.toml: missing; begin with `cp site.example.toml site.toml`, and change it\n"


def test_a_name_that_cannot_be_rotated_lists_those_that_can(site: SampleSite) -> None:
    told = site.run("--rotate", "the-wheel", code=2)
    names = ("crypt-key", "proxy-token", "fileserver-token", "log-certificates", "log-authority")
    assert "invalid choice: 'the-wheel'" in told
    assert all(name in told for name in names)

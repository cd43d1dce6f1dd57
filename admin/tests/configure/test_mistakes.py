"""Tests that a mistake in site.toml is reported in one line: line number, key, value, accepted values."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from labadmin.configure.problems import ConfigureError
from labadmin.configure.site_file import read_site
from labtesting.certificates import Authority

from admin.tests.configure.sample import HOSTNAME, LOGS, SMALL, SampleSite

MISTAKES = {
    mistake["name"]: mistake
    for mistake in tomllib.loads((Path(__file__).parent / "mistakes.toml").read_text())["mistakes"]
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> SampleSite:
    """Return a site with additional invalid files."""
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
def test_mistake_is_reported_in_one_line(mistake: str, site: SampleSite) -> None:
    old, expected = MISTAKES[mistake]["old"], "\n".join(MISTAKES[mistake]["expected"])
    assert old in SMALL + LOGS
    site.write_settings((SMALL + LOGS).replace(old, MISTAKES[mistake]["new"]))
    with pytest.raises(ConfigureError) as refused:
        read_site(site.folder / "site.toml", site.environ, datetime.now(UTC))
    printed = str(refused.value).replace(f"{site.folder}/", "")
    if "expired" in expected:  # the message contains the date of the test run
        expected, printed = (
            part.partition("expired on ")[0] + part.partition("expired on ")[2][10:] for part in (expected, printed)
        )
    assert printed == expected
    assert "hunter2" not in printed


def test_all_mistakes_are_reported_in_the_order_of_the_file(site: SampleSite) -> None:
    text = SMALL.replace('"an-id"', "1").replace('["lsst-sqre"]', '["a b"]').replace("[nginx]", "[nginx]\nhttp3 = 1")
    site.write_settings(text)
    lines = [line.split(": ")[:2] for line in site.run(code=1).splitlines()]
    assert lines == [
        ["site.toml, line 4", "github.client_id"],
        ["site.toml, line 6", "github.organizations[1]"],
        ["site.toml, line 8", "nginx.http3"],
    ]
    assert not site.output.exists()


def test_missing_site_file_is_reported_with_a_command(tmp_path: Path) -> None:
    printed = SampleSite(tmp_path).run(code=1)
    assert printed == "site.toml: missing: start with `cp site.example.toml site.toml`, and edit the copy\n"


def test_unknown_key_name_lists_the_rotatable_ones(site: SampleSite) -> None:
    printed = site.run("--rotate", "the-wheel", code=2)
    names = ("crypt-key", "proxy-token", "fileserver-token", "log-certificates", "log-authority")
    assert "invalid choice: 'the-wheel'" in printed
    assert all(name in printed for name in names)

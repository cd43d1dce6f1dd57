"""Tests of two functions: one parses the ids that name folders, the other renames a complete folder into an export."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from labfiles.folders import FIRST_ID, LAST_ID, RESERVED_IDS, InvalidIdError, move, parse_id


@given(st.integers(min_value=FIRST_ID, max_value=LAST_ID).filter(lambda number: number not in RESERVED_IDS))
def test_every_id_that_the_hub_assigns_is_parsed(number: int) -> None:
    assert parse_id(str(number)) == number


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "999",
        "60000",
        "65534",
        "65535",
        "2147483648",
        "-5000",
        "+5000",
        "05000",
        "5000 ",
        "5_000",
        "5000/..",
        "\u0665\u0660\u0660\u0660",
    ],
)
def test_an_id_that_the_hub_never_assigns_is_refused(text: str) -> None:
    with pytest.raises(InvalidIdError, match="wanted a number from 1000 to 2147483647, not 60000 to 65535"):
        parse_id(text)


@given(st.text())
def test_parsed_id_is_never_a_path(text: str) -> None:
    with suppress(InvalidIdError):
        assert str(parse_id(text)) == text


def test_move_does_not_replace_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "5000").mkdir()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            move(folder, "new", folder, "5000")
        move(folder, "new", folder, "5001")
    finally:
        os.close(folder)
    assert sorted(os.listdir(tmp_path)) == ["5000", "5001"]

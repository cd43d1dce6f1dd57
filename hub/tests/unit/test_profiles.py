"""Tests of the menu file, and of users' choices from the menu."""

from __future__ import annotations

from pathlib import Path

import labhub
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labhub.models.profiles import ChoiceError, MenuError, parse_menu, parse_quantity

DEFAULT = (Path(labhub.__file__).parent / "data/menu.toml").read_text()
MENU = parse_menu(DEFAULT, "1.2.3")
SIZE = '\n[[sizes]]\nkey = "s"\ntitle = "S"\ncpu = "1"\nmemory = "1Gi"\n'
IMAGE = '\n[[images]]\nkey = "i"\ntitle = "I"\nimage = "a/b:1"\n'


def test_default_menu_names_the_image_of_this_version() -> None:
    assert [image.image for image in MENU.images] == ["lsstsqre/jupyterlabdemo:1.2.3"]
    assert [size.key for size in MENU.sizes] == ["small", "medium", "large"]


def test_size_requests_all_memory_and_a_quarter_of_the_cpu() -> None:
    assert MENU.sizes[1].requests == {"cpu": "500m", "memory": "6Gi"}
    assert MENU.sizes[1].limits == {"cpu": "2", "memory": "6Gi"}


def test_empty_request_gets_the_default_image_and_size() -> None:
    assert MENU.choose({}).to_dict() == {"image": "recommended", "size": "small"}


@pytest.mark.parametrize(
    ("requested", "message"),
    [
        ({"size": "huge"}, "size: found 'huge', wanted one of small, medium, large"),
        ({"image": "evil/miner:1"}, "image: found 'evil/miner:1', wanted one of recommended"),
        ({"image": ["recommended"]}, "wanted one of recommended"),
        ({"cpu": "64"}, "found 'cpu', wanted only image, size and settings"),
        ({"size": None}, "size: found 'None'"),
    ],
)
def test_choice_off_the_menu_is_refused(requested: dict[str, object], message: str) -> None:
    with pytest.raises(ChoiceError) as error:
        MENU.choose(requested)
    assert message in str(error.value)


@given(st.dictionaries(st.text(), st.one_of(st.none(), st.text(), st.integers(), st.lists(st.text()))))
def test_any_stored_choice_can_be_restored(stored: dict[str, object]) -> None:
    choice = MENU.restore_choice(stored)
    assert MENU.choose(choice.to_dict()) == choice


def test_last_choice_keeps_available_options() -> None:
    assert MENU.restore_choice({"image": "gone", "size": "large"}).to_dict() == {
        "image": "recommended",
        "size": "large",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images = ", "not TOML"),
        (IMAGE, "sizes: Field required"),
        (SIZE, "images: Field required"),
        ("images = []" + SIZE, "images: Tuple should have at least 1 item"),
        (IMAGE + IMAGE + SIZE, "found the key 'i' twice"),
        (
            IMAGE + SIZE.replace('"1Gi"', '"much"'),
            "sizes.0.memory: Value error, found 'much', wanted a quantity such as",
        ),
        (IMAGE + SIZE.replace('"1"', '"0"'), "sizes.0.cpu: Value error, found '0'"),
        (IMAGE + SIZE.replace('"s"', '"S P"'), "sizes.0.key: String should match pattern"),
        (IMAGE.replace("a/b:1", "a b"), "images.0.image: String should match pattern"),
        (IMAGE + 'colour = "red"' + SIZE, "images.0.colour: Extra inputs are not permitted"),
        ("images = 1" + SIZE, "images: Input should be"),
    ],
)
def test_menu_error_names_place_and_value(text: str, message: str) -> None:
    with pytest.raises(MenuError) as error:
        parse_menu(text, "1")
    assert message in str(error.value)


@pytest.mark.parametrize(("text", "number"), [("500m", 0.5), ("2", 2), ("1.5", 1.5), ("1Gi", 2**30), ("3M", 3e6)])
def test_kubernetes_quantities_are_parsed(text: str, number: float) -> None:
    assert parse_quantity(text) == number

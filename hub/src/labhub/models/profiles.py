"""What a user may choose of a lab: a menu of images and sizes. Pure.

The menu is a TOML file; `data/menu.toml` is the one that is used where the site has none, and explains itself.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

# What Kubernetes takes for a label's value, since images and sizes label the pods.
KEY = r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$"
NAME = r"^[^\s:@]+(:[0-9]+/[^\s:@]+)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$"
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
FACTORS = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{prefix}i": 1024.0**power for power, prefix in enumerate("KMGT", 1)
}


class MenuError(Exception):
    """The menu's file is wrong; the message says where, what was found and what is wanted."""


class ChoiceError(Exception):
    """Something was asked for that is not on the menu; the message names it and what there is."""


def parse_quantity(text: str) -> float:
    """Give the number of a Kubernetes quantity (`500m`, `2Gi`).

    Raises
    ------
    ValueError
        It is none, or not above zero.
    """
    found = QUANTITY.fullmatch(text)
    number = float(found[1]) * FACTORS[found[2] or ""] if found else 0
    if not number > 0:
        raise ValueError(f"found {text!r}, wanted a quantity such as 500m, 2 or 4Gi")
    return number


def check_quantity(text: str) -> str:
    """Take a quantity as it is."""
    parse_quantity(text)
    return text


def fill_version(text: object, info: ValidationInfo) -> object:
    """Put the project's version into an image's name."""
    return text.replace("{version}", (info.context or {}).get("version", "")) if isinstance(text, str) else text


Quantity = Annotated[str, AfterValidator(check_quantity)]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class Entry(BaseModel):
    """A line of the menu.

    Attributes
    ----------
    key
        What the form sends, what is stored, and the label of the pod.
    title, description
        For people.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=KEY)
    title: Text
    description: str = Field(default="", max_length=400)


class Image(Entry):
    """An image to run.

    Attributes
    ----------
    image
        Its name with a tag or a digest.
    """

    image: Annotated[str, BeforeValidator(fill_version), Field(pattern=NAME)]


class Size(Entry):
    """What a lab gets.

    Attributes
    ----------
    cpu, memory
        What it cannot use more of.
    cpu_request, memory_request
        What is kept free for it. As much memory as it may use: a lab that is promised less is the first to be ended
        when its node runs short.
    """

    cpu: Quantity
    memory: Quantity
    cpu_request: Quantity | None = None
    memory_request: Quantity | None = None

    @property
    def requests(self) -> dict[str, str]:
        """Kubernetes' resource requests; a quarter of the processors, unless the menu says more."""
        share = f"{max(1, round(parse_quantity(self.cpu) * 250))}m"
        return {"cpu": self.cpu_request or share, "memory": self.memory_request or self.memory}

    @property
    def limits(self) -> dict[str, str]:
        """Kubernetes' resource limits."""
        return {"cpu": self.cpu, "memory": self.memory}


@dataclass(frozen=True)
class Choice:
    """What somebody gets."""

    image: Image
    size: Size

    def to_dict(self) -> dict[str, str]:
        """Give it as JupyterHub stores it."""
        return {"image": self.image.key, "size": self.size.key}


E_ = TypeVar("E_", bound=Entry)


def unique(entries: tuple[E_, ...]) -> tuple[E_, ...]:
    """Take entries with different keys."""
    keys = [entry.key for entry in entries]
    if doubled := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"found the key {doubled.pop()!r} twice, wanted a key of its own for each")
    return entries


class Menu(BaseModel):
    """All there is; the first image and the first size are what somebody gets who has never chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Annotated[tuple[Image, ...], Field(min_length=1), AfterValidator(unique)]
    sizes: Annotated[tuple[Size, ...], Field(min_length=1), AfterValidator(unique)]

    def choose(self, asked: Mapping[str, Any]) -> Choice:
        """Find what was asked for; what was not said is the first.

        Raises
        ------
        ChoiceError
            It is not on the menu, or it is no choice.
        """
        if unknown := sorted(set(asked) - {"image", "size"}):
            raise ChoiceError(f"found {unknown[0]!r}, wanted only image and size")
        return Choice(self._find("image", self.images, asked), self._find("size", self.sizes, asked))

    @staticmethod
    def _find(what: str, entries: tuple[E_, ...], asked: Mapping[str, Any]) -> E_:
        key = asked.get(what, entries[0].key)
        for entry in entries:
            if entry.key == key:
                return entry
        there = ", ".join(entry.key for entry in entries)
        raise ChoiceError(f"{what}: found {str(key)[:60]!r}, wanted one of {there}")

    def remember(self, stored: Mapping[str, Any]) -> Choice:
        """Give the last choice as far as it is still on the menu."""
        images = {image.key: image for image in self.images}
        sizes = {size.key: size for size in self.sizes}
        image, size = str(stored.get("image")), str(stored.get("size"))
        return Choice(images.get(image, self.images[0]), sizes.get(size, self.sizes[0]))


def parse_menu(text: str, version: str) -> Menu:
    """Read a menu; `{version}` in an image's name is the project's version.

    Raises
    ------
    MenuError
        It is not as it should be.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MenuError(f"not TOML: {error}") from error
    try:
        return Menu.model_validate(found, context={"version": version})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MenuError(f"{where}: {first['msg']}, found {str(first['input'])[:80]!r}") from error

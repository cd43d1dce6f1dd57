"""The menu from which a user chooses the image and the size of a lab.

The menu is a TOML file. `data/menu.toml` is the default, and explains the format.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

# Pattern of a key. Each key is a valid value of a Kubernetes label, because a lab's pod has labels with the keys of the
# image and the size.
KEY = r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$"
NAME = r"^[^\s:@]+(:[0-9]+/[^\s:@]+)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?$"
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
FACTORS = {"": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{prefix}i": 1024.0**power for power, prefix in enumerate("KMGT", 1)
}

# Values of the option `settings`. `kept`: the lab uses the user's settings. `clean`: the lab first moves the user's
# settings into a dated folder.
KEPT, CLEAN = "kept", "clean"


class MenuError(Exception):
    """Error for an invalid menu file. The message names the place in the file, the value and the expected value."""


class ChoiceError(Exception):
    """Error for a choice that is not on the menu. The message names the choice and the valid choices."""


def parse_quantity(text: str) -> float:
    """Return a Kubernetes quantity such as `500m` or `2Gi` as a number.

    Raises
    ------
    ValueError
        Raised if the text is not a quantity, or if the number is not above zero.
    """
    matched = QUANTITY.fullmatch(text)
    number = float(matched[1]) * FACTORS[matched[2] or ""] if matched else 0
    if not number > 0:
        raise ValueError(f"found {text!r}, wanted a quantity such as 500m, 2 or 4Gi")
    return number


def check_quantity(text: str) -> str:
    """Return the text if it is a valid Kubernetes quantity, else raise a ValueError."""
    parse_quantity(text)
    return text


def fill_version(text: object, info: ValidationInfo) -> object:
    """Replace `{version}` in an image's name by the version in the validation context."""
    return text.replace("{version}", (info.context or {}).get("version", "")) if isinstance(text, str) else text


Quantity = Annotated[str, AfterValidator(check_quantity)]
Text = Annotated[str, Field(min_length=1, max_length=200)]


class MenuEntry(BaseModel):
    """An entry of the menu: the common fields of images and sizes.

    Attributes
    ----------
    key
        Value that the spawn page sends and that the hub stores. The pod's labels also contain the key.
    title, description
        Text on the spawn page.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str = Field(pattern=KEY)
    title: Text
    description: str = Field(default="", max_length=400)


class Image(MenuEntry):
    """A container image for labs.

    Attributes
    ----------
    image
        Name of the container image, with a tag or a digest.
    """

    image: Annotated[str, BeforeValidator(fill_version), Field(pattern=NAME)]


class Size(MenuEntry):
    """Resources of a lab, as Kubernetes quantities.

    Attributes
    ----------
    cpu, memory
        The resource limits.
    cpu_request, memory_request
        The resource requests. By default the memory request equals the memory limit. When a node runs out of memory,
        kubelet first evicts pods that use more memory than they request.
    """

    cpu: Quantity
    memory: Quantity
    cpu_request: Quantity | None = None
    memory_request: Quantity | None = None

    @property
    def requests(self) -> dict[str, str]:
        """Resource requests of the pod. By default the CPU request is a quarter of the CPU limit."""
        share = f"{max(1, round(parse_quantity(self.cpu) * 250))}m"
        return {"cpu": self.cpu_request or share, "memory": self.memory_request or self.memory}

    @property
    def limits(self) -> dict[str, str]:
        """Resource limits of the pod."""
        return {"cpu": self.cpu, "memory": self.memory}


@dataclass(frozen=True)
class Choice:
    """The image and the size of one lab, and whether the lab starts with clean settings."""

    image: Image
    size: Size
    clean_settings: bool = False

    def to_dict(self) -> dict[str, str]:
        """Return the dict that JupyterHub stores as user options."""
        clean = {"settings": CLEAN} if self.clean_settings else {}
        return {"image": self.image.key, "size": self.size.key} | clean


AnyEntry = TypeVar("AnyEntry", bound=MenuEntry)


def check_unique_keys(entries: tuple[AnyEntry, ...]) -> tuple[AnyEntry, ...]:
    """Return the entries of a menu, or raise a ValueError if two entries have the same key."""
    keys = [entry.key for entry in entries]
    if duplicates := {key for key in keys if keys.count(key) > 1}:
        raise ValueError(f"found the key {duplicates.pop()!r} twice, wanted unique keys")
    return entries


class Menu(BaseModel):
    """All images and sizes that a site offers. The first image and the first size are the defaults."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    images: Annotated[tuple[Image, ...], Field(min_length=1), AfterValidator(check_unique_keys)]
    sizes: Annotated[tuple[Size, ...], Field(min_length=1), AfterValidator(check_unique_keys)]

    def choose(self, requested: Mapping[str, Any]) -> Choice:
        """Return the requested image, size and settings. A default replaces each missing value.

        Raises
        ------
        ChoiceError
            Raised if a value is not on the menu, or if the name of an option is unknown.
        """
        if unknown := sorted(set(requested) - {"image", "size", "settings"}):
            raise ChoiceError(f"found {unknown[0]!r}, wanted only image, size and settings")
        settings = requested.get("settings", KEPT)
        if settings not in (KEPT, CLEAN):
            raise ChoiceError(f"settings: found {str(settings)[:60]!r}, wanted {KEPT} or {CLEAN}")
        image, size = self._find("image", self.images, requested), self._find("size", self.sizes, requested)
        return Choice(image, size, clean_settings=settings == CLEAN)

    @staticmethod
    def _find(field: str, entries: tuple[AnyEntry, ...], requested: Mapping[str, Any]) -> AnyEntry:
        key = requested.get(field, entries[0].key)
        for entry in entries:
            if entry.key == key:
                return entry
        keys = ", ".join(entry.key for entry in entries)
        raise ChoiceError(f"{field}: found {str(key)[:60]!r}, wanted one of {keys}")

    def restore_choice(self, stored: Mapping[str, Any]) -> Choice:
        """Return a stored choice without clean settings. A default replaces each value that is not on the menu."""
        images = {image.key: image for image in self.images}
        sizes = {size.key: size for size in self.sizes}
        image, size = str(stored.get("image")), str(stored.get("size"))
        return Choice(images.get(image, self.images[0]), sizes.get(size, self.sizes[0]))


def parse_menu(text: str, version: str) -> Menu:
    """Parse the text of a menu file.

    Parameters
    ----------
    version
        Text that replaces `{version}` in the names of images.

    Raises
    ------
    MenuError
        Raised if the text is not a valid menu.
    """
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise MenuError(f"not TOML: {error}") from error
    try:
        return Menu.model_validate(value, context={"version": version})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MenuError(f"{where}: {first['msg']}, found {str(first['input'])[:80]!r}") from error

"""The menu of images and sizes, in site.toml or in its own file. hub/src/labhub/data/menu.toml describes the keys."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from labadmin.configure.fields import Table, optional, required

QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
IMAGE = re.compile(r"[^\s:@]+(:[0-9]+/[^\s:@]+)?(:[\w.-]+)?(@sha256:[0-9a-f]{64})?")


def check_image(text: str) -> str:
    """Check that a text is an image name. It may contain `{version}`, the placeholder for the hub's version."""
    if not IMAGE.fullmatch(text.replace("{version}", "0")):
        raise ValueError("not the name of an image")
    return text


def check_keys(entries: list[Any]) -> list[Any]:
    """Check that all entries have different keys."""
    keys = [entry.key for entry in entries]
    if doubled := sorted({key for key in keys if keys.count(key) > 1}):
        raise ValueError(f"found the key {doubled[0]!r} twice, wanted a different key for each entry")
    return entries


def check_quantity(text: str) -> str:
    """Check that a text is a Kubernetes quantity above zero."""
    if not QUANTITY.fullmatch(text) or not re.search("[1-9]", text):
        raise ValueError("not a quantity above zero")
    return text


Quantity = Annotated[str, AfterValidator(check_quantity)]


class Entry(Table):
    """An entry of the menu."""

    key: str = required("1 to 40 of a-z, 0-9, . and -", pattern=r"^[a-z0-9]([a-z0-9.-]{0,38}[a-z0-9])?$")
    title: str = required("1 to 200 characters", min_length=1, max_length=200)
    description: str | None = optional("up to 400 characters", max_length=400)


class Image(Entry):
    """An image to run."""

    image: Annotated[str, AfterValidator(check_image)] = required("the name of an image with a tag or a digest")


class Size(Entry):
    """The resource limits and requests of a lab."""

    cpu: Quantity = required('a number of CPUs, for example "2" or "500m"')
    memory: Quantity = required('an amount of memory, for example "4Gi"')
    cpu_request: Quantity | None = optional('a number of CPUs, for example "2" or "500m"')
    memory_request: Quantity | None = optional('an amount of memory, for example "4Gi"')


Images = Annotated[list[Image], Field(min_length=1), AfterValidator(check_keys)]
Sizes = Annotated[list[Size], Field(min_length=1), AfterValidator(check_keys)]


class Menu(Table):
    """A menu in its own file."""

    images: Images = required("tables [[images]]")
    sizes: Sizes = required("tables [[sizes]]")


def write_menu(images: Sequence[Image], sizes: Sequence[Size]) -> str:
    """Return the text of a menu file."""
    tables = [("images", image) for image in images] + [("sizes", size) for size in sizes]
    return "\n".join(write_table(name, entry) for name, entry in tables)


def write_table(name: str, entry: Entry) -> str:
    """Return the text of one table. A JSON string without escaped non-ASCII characters is also valid TOML."""
    values = entry.model_dump(exclude_none=True)
    return f"[[{name}]]\n" + "".join(
        f"{key} = {json.dumps(text, ensure_ascii=False)}\n" for key, text in values.items()
    )

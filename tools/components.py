"""The components, as found on disk: a component is a folder with a Dockerfile."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
TITLE = re.compile(r'org\.opencontainers\.image\.title="([^"]+)"')


def image_name(component: str) -> str:
    """Give the name of a component's image: the title label of its Dockerfile.

    Raises
    ------
    ValueError
        The Dockerfile has no such label.
    """
    found = TITLE.search((ROOT / component / "Dockerfile").read_text())
    if found is None:
        raise ValueError(f"{component}/Dockerfile: no label org.opencontainers.image.title, the image's name")
    return found[1]

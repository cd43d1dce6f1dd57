"""A program that collects JupyterLab's scripts, styles and fonts for nginx: `python static.py FOLDER [--quick]`.

It copies each file whose name contains a hash of the content. FOLDER gets a subfolder for each encoding: `identity`
with unchanged files, `br` and `gzip` with compressed files. The path of a copy in a subfolder is the path of the file
below a lab's URL.
"""

from __future__ import annotations

import argparse
import gzip
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import brotli

HASHED = re.compile(r"(^|\.)[0-9a-f]{16,64}\.\w+$")
ALREADY_COMPRESSED = {".woff", ".woff2"}


def find_files(jupyter: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the path of each file whose name contains a hash, and the path of the file below a lab's URL.

    Parameters
    ----------
    jupyter
        The folder `share/jupyter` of the environment that has JupyterLab.
    """
    labextensions = jupyter / "labextensions"
    folders = {jupyter / "lab" / "static": Path("static/lab")}
    for folder in (*labextensions.glob("*/static"), *labextensions.glob("@*/*/static")):
        folders[folder] = "lab/extensions" / folder.relative_to(labextensions)
    for folder, path in folders.items():
        for file in sorted(folder.iterdir()):
            if HASHED.search(file.name):
                yield file, path / file.name


def write(target: Path, encodings: dict[str, Callable[[bytes], bytes]], source: tuple[Path, Path]) -> None:
    """Write one copy of a file for each encoding. Write a compressed font only once, without further compression.

    Parameters
    ----------
    target
        The folder with a subfolder for each encoding.
    encodings
        Name of each encoding, and the function that encodes the content of a file.
    source
        The path of the file, and its path below a lab's URL.
    """
    file, path = source
    content = file.read_bytes()
    for name, encode in encodings.items():
        if name == "identity" or file.suffix not in ALREADY_COMPRESSED:
            copy = target / name / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(encode(content))


def main() -> None:
    """Write the copies of all files into the folder that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--quick", action="store_true", help="compress less, for tests")
    options = parser.parse_args()
    encodings: dict[str, Callable[[bytes], bytes]] = {
        "identity": bytes,
        "br": partial(brotli.compress, quality=4 if options.quick else 11),
        "gzip": partial(gzip.compress, compresslevel=1 if options.quick else 9, mtime=0),
    }
    sources = list(find_files(Path(sys.prefix) / "share" / "jupyter"))
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(write, options.folder, encodings), sources, chunksize=8))


if __name__ == "__main__":
    main()

"""The user's settings of Jupyter and IPython in the home, and empty folders with which a lab can replace them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from lsstlab.home_setup import home_folder
from lsstlab.lab_environment import create_private_folder

# The folders of the home with the user's settings and packages. The value is the environment variable that makes
# Jupyter use a different folder instead.
FOLDER_VARIABLES = {".jupyter": "JUPYTER_CONFIG_DIR", ".ipython": "IPYTHONDIR", ".local": "JUPYTER_DATA_DIR"}
# Patterns of the files in the settings folder from which Jupyter Server and its extensions read their configuration
SERVER_SETTINGS = ("*config.py", "*config.json", "*config.d/*.json", "labconfig/*.json")


def settings_folder() -> Path:
    """Return the folder with the user's settings of Jupyter. The default is `~/.jupyter`."""
    return Path(os.environ.get("JUPYTER_CONFIG_DIR") or home_folder() / ".jupyter")


def find_server_settings() -> list[Path]:
    """Return the user's files from which Jupyter Server and its extensions read their configuration."""
    files = [path for pattern in SERVER_SETTINGS for path in sorted(settings_folder().glob(pattern))]
    # Without the file `migrated`, Jupyter also reads settings of IPython 3.
    if not os.path.exists(settings_folder() / "migrated"):
        files += sorted(home_folder().glob(".ipython/profile_default/*config.*"))
    return files


def ignore_server_settings() -> None:
    """Use an empty folder instead of `~/.jupyter`, but keep the user's settings of the JupyterLab page."""
    page_settings = str(settings_folder() / "lab" / "user-settings")
    ignore_folders([".jupyter"])
    os.environ.setdefault("JUPYTERLAB_SETTINGS_DIR", page_settings)


def ignore_folders(names: Iterable[str]) -> None:
    """Set environment variables so that the lab and its kernels use empty folders instead of these folders of the home.

    The empty folders are in the scratch folder. `names` are keys of FOLDER_VARIABLES.
    """
    for name in names:
        folder = create_empty_folder(name[1:])
        os.environ[FOLDER_VARIABLES[name]] = str(folder)
        if name == ".jupyter":
            (folder / "migrated").touch()  # without this file, Jupyter would copy settings of IPython 3 from the home
        elif name == ".local":
            os.environ["PYTHONNOUSERSITE"] = "1"  # LSST_Stack kernels then do not import packages from ~/.local


def create_empty_folder(name: str) -> Path:
    """Create an empty folder in the scratch folder. Delete a folder of the same name that an earlier lab has left."""
    parent = Path(os.environ["LAB_SCRATCH"]) / "no-settings"
    create_private_folder(parent)
    folder = parent / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    return folder


def is_in_home(path: str | Path) -> bool:
    """Return whether a path is in the home.

    Jupyter resolves links in its paths, so the function compares the path with the home and with the resolved home.
    """
    home = home_folder()
    return any(Path(path).is_relative_to(folder) for folder in (home, home.resolve()))


def abbreviate(path: str | Path) -> str:
    """Return a path as text, with `~` instead of the home if the path is in the home."""
    home = home_folder()
    for folder in (home, home.resolve()):
        if Path(path).is_relative_to(folder):
            return f"~/{Path(path).relative_to(folder)}"
    return str(path)

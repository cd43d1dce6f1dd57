"""Checks of programs that work with the files of users: git and JupyterLab's file manager."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from fileserver.tests.image.client.registry import Share, check


def git(*arguments: str | Path, folder: Path) -> str:
    author = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    done = subprocess.run(
        ["git", *author, *map(str, arguments)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@check()
def git_commits_and_clones(share: Share) -> None:
    origin = share.home / "origin"
    origin.mkdir()
    git("init", "-q", folder=origin)
    for number in range(100):
        (origin / f"{number}.py").write_text(f"print({number})\n" * number)
    git("add", ".", folder=origin)
    git("commit", "-qm", "all", folder=origin)
    git("clone", "-q", f"file://{origin}", "clone", folder=share.home)
    assert git("status", "--porcelain", folder=share.home / "clone") == ""
    git("fsck", "--strict", folder=share.home / "clone")
    assert (share.home / "clone/99.py").read_text() == (origin / "99.py").read_text()


async def save_notebook(folder: Path) -> None:
    """Save, change, restore and rename a notebook with JupyterLab's file manager, and upload a file in chunks."""
    from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
    from nbformat.v4 import new_code_cell, new_notebook

    manager = AsyncLargeFileManager(root_dir=str(folder))
    notebook = new_notebook(cells=[new_code_cell("1 + 1")])
    model = {"type": "notebook", "format": "json", "content": notebook}
    await manager.save(dict(model), "work.ipynb")
    checkpoint = await manager.create_checkpoint("work.ipynb")
    model["content"] = new_notebook(cells=[new_code_cell("2 + 2")])
    await manager.save(dict(model), "work.ipynb")
    assert (await manager.get("work.ipynb"))["content"]["cells"][0]["source"] == "2 + 2"
    await manager.restore_checkpoint(checkpoint["id"], "work.ipynb")
    assert (await manager.get("work.ipynb"))["content"]["cells"][0]["source"] == "1 + 1"
    await manager.rename("work.ipynb", "done.ipynb")
    for chunk, text in ((1, "one"), (2, "two"), (-1, "three")):
        upload = {"type": "file", "format": "text", "content": text, "chunk": chunk}
        await manager.save(upload, "upload.txt")
    assert (await manager.get("upload.txt"))["content"] == "onetwothree"
    assert {"done.ipynb", "upload.txt"} <= set(os.listdir(folder))
    assert not [name for name in os.listdir(folder) if "~" in name], "an atomic save left a temporary file"


@check()
def jupyterlabs_file_manager_saves_a_notebook(share: Share) -> None:
    folder = share.home / "notebooks"
    folder.mkdir()
    asyncio.run(save_notebook(folder))

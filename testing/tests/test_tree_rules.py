"""Tests of the lint rules for the source tree: copies of the shared code, sizes of modules and packages, imports."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.declared_imports import find_undeclared_imports
from tools.shared_code import COPIES, SOURCE, find_differences, wanted_copies, write_copies
from tools.tree_rules import LINES_MAX, MODULES_MAX, find_large_packages, find_long_modules

HUB, RELAY = "hub/src/labhub/shared", "logstashrmq/src/beatsrelay/shared"
PACKAGE = "hub/src/labhub/labs"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Create a source tree with the shared code and the copies of the shared code."""
    shutil.copytree(SOURCE, tmp_path / "shared")
    write_copies(tmp_path)
    return tmp_path


def test_written_copies_do_not_differ(tree: Path) -> None:
    assert find_differences(tree) == []
    for folder, names in COPIES.items():
        assert {path.name for path in (tree / folder).iterdir()} == set(names)
    assert os.access(tree / "hub/proxy/start-proxy", os.X_OK)


def test_the_checkout_has_the_copies() -> None:
    assert find_differences() == []
    assert len(wanted_copies()) > 20


def change(tree: Path, name: str) -> None:
    """Change one module in a copy of the shared code."""
    with (tree / name).open("a") as file:
        file.write("# changed\n")


def remove(tree: Path, name: str) -> None:
    """Remove one module from a copy of the shared code."""
    (tree / name).unlink()


def add(tree: Path, name: str) -> None:
    """Add a module to a copy of the shared code. The shared code has no such module."""
    (tree / name).write_text("")


@pytest.mark.parametrize(
    ("edit", "name"),
    [(change, f"{HUB}/json_logs.py"), (remove, f"{RELAY}/__init__.py"), (add, f"{HUB}/other.py")],
    ids=["changed", "missing", "stray"],
)
def test_a_difference_is_found(edit: Callable[[Path, str], None], name: str, tree: Path) -> None:
    edit(tree, name)
    assert find_differences(tree) == [tree / name]


def test_a_changed_original_differs_from_all_copies(tree: Path) -> None:
    change(tree, "shared/secret_files.py")
    assert find_differences(tree) == sorted(
        tree / folder / "secret_files.py" for folder, names in COPIES.items() if "secret_files.py" in names
    )
    write_copies(tree)
    assert find_differences(tree) == []


@pytest.mark.parametrize(
    ("name", "lines", "found"),
    [
        ("long.py", LINES_MAX + 1, [f"long.py: {LINES_MAX + 1} lines, wanted up to {LINES_MAX}"]),
        ("short.py", LINES_MAX, []),
        ("text.md", LINES_MAX + 1, []),
    ],
    ids=["too long", "as long as allowed", "not a module"],
)
def test_a_long_module_is_found(name: str, lines: int, found: list[str], tmp_path: Path) -> None:
    (tmp_path / name).write_text("x = 1\n" * lines)
    assert find_long_modules([Path(name)], tmp_path) == found


@pytest.mark.parametrize(
    ("package", "modules", "found"),
    [
        (PACKAGE, MODULES_MAX + 1, [f"{PACKAGE}: {MODULES_MAX + 1} modules, wanted up to {MODULES_MAX}"]),
        (PACKAGE, MODULES_MAX, []),
        ("fileserver/src/labfiles", MODULES_MAX + 1, []),
    ],
    ids=["too large", "as large as allowed", "another component"],
)
def test_a_large_package_is_found(package: str, modules: int, found: list[str]) -> None:
    files = [Path(package, f"module{number}.py") for number in range(modules)]
    assert find_large_packages([Path(package, "__init__.py"), *files]) == found


def test_an_undeclared_import_is_found(tmp_path: Path) -> None:
    package = tmp_path / "hub/src/labhub"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("import json\nimport yaml\nfrom labhub import shared\nfrom . import labs\n")
    project = tmp_path / "hub/pyproject.toml"
    project.write_text('[project]\nname = "labhub"\ndependencies = ["pyyaml>=6", "psycopg[binary]"]\n')
    assert find_undeclared_imports(tmp_path) == []
    (package / "web.py").write_text("if True:\n    from tornado.web import Application\n")
    wanted = "hub/pyproject.toml: imports tornado, wanted 'tornado' in dependencies"
    assert find_undeclared_imports(tmp_path) == [wanted]

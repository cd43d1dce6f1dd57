"""Checks that each package declares the distributions that it imports, in the `dependencies` of its pyproject.toml."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

# Distributions whose name differs from the name of their module
DISTRIBUTIONS = {
    "jupyterhub_idle_culler": "jupyterhub-idle-culler",
    "kubernetes_asyncio": "kubernetes-asyncio",
    "kubespawner": "jupyterhub-kubespawner",
    "prometheus_client": "prometheus-client",
    "pydantic_core": "pydantic-core",
    "pythonjsonlogger": "python-json-logger",
    "yaml": "pyyaml",
}


def imported_modules(source: Path) -> set[str]:
    """Return the top-level modules that all files of a folder import, without relative imports."""
    modules: set[str] = set()
    for file in source.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                modules.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules.add(node.module.partition(".")[0])
    return modules


def undeclared_imports(project: Path, own_packages: set[str]) -> Iterator[str]:
    """Yield a message for each import of a project that its dependencies do not name.

    Parameters
    ----------
    project
        Folder with `pyproject.toml` and `src/`.
    own_packages
        Packages of this repository, which are on no index.
    """
    with (project / "pyproject.toml").open("rb") as file:
        dependencies = tomllib.load(file)["project"].get("dependencies", [])
    declared = {re.split(r"[\[<>=!~; ]", dependency)[0].lower() for dependency in dependencies}
    for module in sorted(imported_modules(project / "src") - set(sys.stdlib_module_names) - own_packages):
        distribution = DISTRIBUTIONS.get(module, module.lower().replace("_", "-"))
        if distribution not in declared:
            yield f"{project.name}/pyproject.toml: imports {module}, wanted {distribution!r} in dependencies"


def find_undeclared_imports(root: Path) -> list[str]:
    """Return a message for each undeclared import of each project in the repository."""
    projects = sorted(path.parent for path in root.glob("*/pyproject.toml") if (path.parent / "src").is_dir())
    own_packages = {path.name for project in projects for path in (project / "src").iterdir()}
    return [message for project in projects for message in undeclared_imports(project, own_packages)]

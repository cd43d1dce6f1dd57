"""Rules about the source tree that no linter can check: sizes, copies of shared code, declared imports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tools.declared_imports import find_undeclared_imports
from tools.shared_code import ROOT, find_differences

LINES_MAX = 350
# A package with more modules must be split. `__init__.py` does not count.
MODULES_MAX = 10
SIZED_PACKAGES = Path("hub/src/labhub")


def count_lines(path: Path) -> int:
    """Return the number of lines of a file."""
    with path.open("rb") as file:
        return sum(1 for _ in file)


def find_long_modules(files: Iterable[Path], root: Path = ROOT) -> list[str]:
    """Return a message for each Python module that is too long."""
    counted = ((path, count_lines(root / path)) for path in sorted(files) if path.suffix == ".py")
    return [f"{path}: {lines} lines, wanted up to {LINES_MAX}" for path, lines in counted if lines > LINES_MAX]


def find_large_packages(files: Iterable[Path]) -> list[str]:
    """Return a message for each package of the hub that has too many modules."""
    modules = [path for path in files if path.suffix == ".py" and path.name != "__init__.py"]
    counted = Counter(path.parent for path in modules if path.is_relative_to(SIZED_PACKAGES))
    return [
        f"{package}: {count} modules, wanted up to {MODULES_MAX}"
        for package, count in sorted(counted.items())
        if count > MODULES_MAX
    ]


def find_problems(files: Iterable[Path]) -> list[str]:
    """Return a message for each violation of a rule in the source tree."""
    files = list(files)
    copies = [
        f"{path.relative_to(ROOT)}: differs from shared/, run: nox -s lint -- --fix" for path in find_differences()
    ]
    return find_long_modules(files) + find_large_packages(files) + copies + find_undeclared_imports(ROOT)

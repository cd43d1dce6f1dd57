"""Loads of the Kubernetes client what somebody asks for.

kubernetes_asyncio 36.1.0 imports each of its 60 interfaces and 768 models at once, a second of the hub's start. The hub
uses some fifty of them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType
from typing import Any

PACKAGES = ("kubernetes_asyncio.client", "kubernetes_asyncio.client.api", "kubernetes_asyncio.client.models")
IMPORT = re.compile(r"^from ([\w.]+) import (\w+)$", re.MULTILINE)


class LazyLoader(SourceFileLoader):
    """Imports what a package's `__init__.py` does, each name when it is first asked for."""

    def exec_module(self, module: ModuleType) -> None:
        """Read which name comes from where, and import none of them."""
        sources = {name: source for source, name in IMPORT.findall(self.get_data(self.path).decode())}

        def find(name: str) -> Any:
            if name in sources:
                vars(module)[name] = getattr(import_module(sources[name]), name)
                return vars(module)[name]
            try:
                return import_module(f"{module.__name__}.{name}")
            except ModuleNotFoundError:
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}") from None

        vars(module).update(__getattr__=find, __dir__=lambda: sorted({*vars(module), *sources}))


class LazyFinder:
    """Finds these packages before others do."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Give one of the packages a loader of ours."""
        found = PathFinder.find_spec(name, path, target) if name in PACKAGES else None
        if found and found.origin:
            found.loader = LazyLoader(name, found.origin)
        return found


def load_lazily() -> None:
    """Do so, if the client is not loaded yet."""
    if PACKAGES[0] not in sys.modules:
        sys.meta_path.insert(0, LazyFinder)

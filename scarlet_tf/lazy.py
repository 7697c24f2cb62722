"""Lazy imports for package `__init__` files.

With them, names, paths and settings are checked without waiting for TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def later(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """Return a package's `__getattr__`, which imports names when they are first used; also add them to its `dir`.

    Args:
        package: the package's `__name__`.
        homes: the names to import, by module. Do not list a name that is also a submodule: importing it would hide the
            submodule.
    """
    home_of = {name: module for module, names in homes.items() for name in names}

    module = sys.modules[package]
    module.__dir__ = lambda: sorted({*vars(module), *home_of})

    def get(name: str) -> object:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(home_of[name]), name)
        setattr(module, name, value)
        return value

    return get

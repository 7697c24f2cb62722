"""Packages part of whose names are imported when they are first asked for.

So what says no to bad input, names and paths and settings, need not wait for TensorFlow.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence


def later(package: str, homes: Mapping[str, Sequence[str]]) -> Callable[[str], object]:
    """A package's `__getattr__`; also lets `dir` of the package, and so completion, know the names.

    Args:
        package: its `__name__`.
        homes: by module the names that are imported from it. None may be a submodule's: importing that would hide it.
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

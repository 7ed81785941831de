"""Modules that are imported when something of them is used, not when another module says `import`."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any


def postpone(*names: str) -> None:
    """Put off the import of these modules, for a library that imports them for what is not needed here."""
    for name in names:
        if name not in sys.modules and importlib.util.find_spec(name):
            sys.modules[name] = _Later(name)


class _Later(ModuleType):
    """Stands for a module until the first of its attributes is asked for."""

    def __getattr__(self, name: str) -> Any:
        # The import system asks for __spec__, inspect for __file__: neither has a use for the module.
        if name.startswith("__") and name != "__path__":
            raise AttributeError(name)
        del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)

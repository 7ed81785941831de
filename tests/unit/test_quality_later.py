"""A postponed module is imported by its first use, whichever way it was asked for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from journeymart.quality.later import postpone


def test_a_postponed_module_is_there_when_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "heavy_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "heavy.py").write_text("VALUE = 42\n")
    monkeypatch.syspath_prepend(tmp_path)
    name = "heavy_package.heavy"
    postpone(name, "no_such_module_anywhere")
    try:
        stand_in = sys.modules[name]
        assert not hasattr(stand_in, "__file__")
        module = __import__(name, fromlist=["VALUE"])
        assert module is stand_in
        assert module.VALUE == 42
        assert sys.modules[name] is not stand_in
        assert "no_such_module_anywhere" not in sys.modules
    finally:
        for imported in [key for key in sys.modules if key.startswith("heavy_package")]:
            del sys.modules[imported]

"""Everything that the locks install is in the SBOM, with a licence that suits."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

REPO = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def sbom() -> ModuleType:
    spec = importlib.util.spec_from_file_location("sbom", REPO / "scripts/lib/sbom.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_everything_that_is_installed_is_listed_with_a_licence_that_suits(tmp_path: Path):
    made = subprocess.run([REPO / "scripts/sbom", tmp_path], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    for name in ("airflow", "superset", "warehouse"):
        lock = (REPO / f"docker/{name}/requirements.txt").read_text()
        pinned = {(plain(package), version) for package, version in re.findall(r"^([\w.-]+)==([\w.]+)", lock, re.M)}
        bom = json.loads((tmp_path / f"{name}.json").read_text())
        assert {(plain(item["name"]), item["version"]) for item in bom["components"]} == pinned
        assert all(item["licenses"] for item in bom["components"])
        assert bom["bomFormat"] == "CycloneDX"


@pytest.mark.parametrize(
    ("licences", "suits"),
    [
        ([], False),
        (["AGPL-3.0-only"], False),
        (["MIT AND GPL-2.0-only"], False),
        (["License :: OSI Approved :: GNU General Public License (GPL)"], False),
        (["License :: OSI Approved :: GNU Affero General Public License v3"], False),
        (["GNU General Public License v3"], False),
        (["UNKNOWN"], False),
        (["SSPL-1.0"], False),
        (["BUSL-1.1"], False),
        (["GPL-2.0-or-later", "License :: OSI Approved :: Artistic License"], True),
        (["MIT OR GPL-2.0-only"], True),
        (["LGPL-3.0-only"], True),
        (["License :: OSI Approved :: GNU Library or Lesser General Public License (LGPL)"], True),
    ],
)
def test_a_licence_suits_unless_all_that_may_be_chosen_ask_for_too_much(sbom: ModuleType, licences, suits):
    entries = [{"expression": licence} for licence in licences]
    bom = {"components": [{"name": "a", "version": "1", "licenses": entries}]}
    assert (sbom.unsuitable(bom) == []) is suits

"""What scripts/bundle packs is enough for a machine without internet."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]


def test_an_environment_is_installed_from_the_bundle_alone(tmp_path: Path):
    bundle = tmp_path / "bundle.tar"
    subprocess.run([REPO / "scripts/bundle", bundle, "sbom"], check=True)
    with tarfile.open(bundle) as content:
        content.extractall(tmp_path, filter="data")
    there = tmp_path / "journeymart"
    nowhere = "http://127.0.0.1:9/simple"  # nobody listens
    indexes = {"PIP_INDEX_URL": nowhere, "UV_DEFAULT_INDEX": nowhere, "PIP_CONFIG_FILE": os.devnull}
    elsewhere = {"JOURNEYMART_VENVS": str(there / ".venvs"), "UV_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([there / "scripts/lib/venvs", "sbom"], env=os.environ | indexes | elsewhere, check=True)
    assert (there / ".venvs/sbom/.installed").read_text() == (REPO / "scripts/lib/sbom.txt").read_text()
    subprocess.run([there / ".venvs/sbom/bin/python", "-c", "import cyclonedx"], check=True)

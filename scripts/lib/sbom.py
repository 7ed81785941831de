"""Write CycloneDX files of environments and say whose licences do not suit; see scripts/sbom."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

# LGPL is not among them: these packages are installed as they are, and anybody may exchange them.
UNSUITABLE = re.compile(
    r"(?<!L)GPL|(?<!Lesser )General Public|Server Side Public|SSPL|BUSL|Business Source|Commons Clause|Elastic"
    r"|Proprietary|-NC\b|Non-?Commercial|UNKNOWN",
    re.IGNORECASE,
)
# What the LICENSE file of a package says where its metadata does not in a form that is understood.
STATED = {
    "apache_superset": "Apache-2.0",
    "Bottleneck": "BSD-2-Clause",
    "polyline": "MIT",
    "protobuf": "BSD-3-Clause",
    "PySocks": "BSD-3-Clause",
    "superset-client": "Apache-2.0",
}


def unsuitable(bom: dict[str, Any]) -> list[str]:
    """Components without a known licence, or without one to choose that suits."""
    found = []
    for component in bom["components"]:
        licences = [
            entry.get("expression") or entry["license"].get("id") or entry["license"]["name"]
            for entry in component.get("licenses", [])
        ]
        choices = [choice for licence in licences for choice in licence.split(" OR ")]
        if all(UNSUITABLE.search(choice) for choice in choices):
            found.append(f"{component['name']} {component['version']}: {', '.join(licences) or 'no licence is known'}")
    return found


def inventory(environment: Path) -> dict[str, Any]:
    """What is installed in an environment."""
    # To compare what the tool writes with the schema takes ten times as long as the rest.
    command = ["environment", "--output-reproducible", "--no-validate", environment / "bin/python"]
    written = subprocess.run([sys.executable, "-m", "cyclonedx_py", *command], check=True, stdout=subprocess.PIPE)
    bom: dict[str, Any] = json.loads(written.stdout)
    bom["metadata"]["component"] = {"type": "application", "name": f"journeymart-{environment.name}"}
    for component in bom["components"]:
        if not component.get("licenses") and component["name"] in STATED:
            component["licenses"] = [{"license": {"id": STATED[component["name"]], "acknowledgement": "concluded"}}]
    return bom


def main(directory: Path, *environments: Path) -> int:
    """Write the files; 1 if a licence does not suit."""
    directory.mkdir(parents=True, exist_ok=True)
    wrong = []
    for environment in environments:
        bom = inventory(environment)
        path = directory / f"{environment.name}.json"
        path.write_text(json.dumps(bom, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{path}: {len(bom['components'])} packages")
        wrong += unsuitable(bom)
    for component in wrong:
        print(f"sbom: licence of {component}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))

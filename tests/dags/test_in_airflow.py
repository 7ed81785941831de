"""Run the checks of in_airflow/ with Airflow's own Python: Airflow and pytest live in different environments."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parents[1]


def test_in_airflow(tmp_path: Path) -> None:
    """All cases of all check_*.py pass; one process, because importing Airflow takes seconds."""
    subprocess.run([REPO / "scripts/lib/venvs", "airflow"], check=True)
    checks = sorted((HERE / "in_airflow").glob("check_*.py"))
    assert [check.stem for check in checks] == ["check_dags", "check_plugin", "check_prepare", "check_steps"]
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DEFAULT_TIMEZONE": "Asia/Seoul",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "PYTHONPATH": str(REPO / "plugins"),
    }
    python = Path(os.environ.get("JOURNEYMART_VENVS", REPO / ".venvs")) / "airflow/bin/python"
    result = subprocess.run(
        [python, "-m", "unittest", "--verbose", *checks], env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    for check in checks:
        assert f"{check.stem}." in result.stderr, f"{check.name} ran nothing"

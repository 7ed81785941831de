"""The containers: valid files, the local platform's configuration, nothing open and nothing secret in them.

No container engine is needed; what these files start is what the local platform starts, which other tests run.
"""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from journeymart.platform.airflow import Airflow
from journeymart.platform.postgres import Postgres, _configuration
from journeymart.platform.secrets import ensure_secrets
from journeymart.platform.superset import Superset
from journeymart.settings import WAREHOUSE_ROLES, Settings, password_variable

REPO = Path(__file__).resolve().parents[2]
DOCKER = REPO / "docker"
COMPOSE = DOCKER / "compose.yml"
DOCKERFILES = sorted(DOCKER.glob("*/Dockerfile"))
POSTGRES_CONF = DOCKER / "postgres/postgresql.conf"
BIN = Path(sys.executable).parent
VARIABLE = re.compile(r"\$\{(\w+)(?::([?-])([^}]*))?\}")


@cache
def services() -> dict[str, dict[str, Any]]:
    """The services of compose.yml, with its anchors resolved."""
    content: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]
    return content


@cache
def environment(service: str) -> dict[str, str]:
    return dict(services()[service]["environment"])


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ensure_secrets(tmp_path)
    return Settings.load({"JOURNEYMART_HOME": str(tmp_path)})


def image_environment(image: str) -> dict[str, str]:
    """ENV of a Dockerfile."""
    text = (DOCKER / image / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    return dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)", text, re.M) for pair in line.split())


# ── files are valid ──────────────────────────────────────────────────────────────────────────────────────────


def test_compose_follows_its_schema() -> None:
    result = run(BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_passes_the_linter(dockerfile: Path) -> None:
    result = run(BIN / "hadolint", "--failure-threshold", "style", dockerfile)
    assert (result.returncode, result.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile_copies_what_exists(dockerfile: Path) -> None:
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.*)", dockerfile.read_text(encoding="utf-8"), re.M)
        for source in line.split()[:-1]
    ]
    assert copied
    let_in = {line[1:] for line in (REPO / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for source in copied:
        assert (REPO / source).exists(), source
        assert source.split("/")[0] in let_in, f".dockerignore keeps {source} out"


def test_postgres_accepts_its_configuration(tmp_path: Path, settings: Settings) -> None:
    result = run(
        Postgres(settings).binaries / "postgres", "-C", "work_mem", "-D", tmp_path, f"--config-file={POSTGRES_CONF}"
    )
    assert (result.returncode, result.stdout) == (0, "65536\n"), result.stderr


# ── the same versions and configuration as the local platform ────────────────────────────────────────────────


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_images_are_installed_from_the_locks_alone(dockerfile: Path) -> None:
    text = dockerfile.read_text(encoding="utf-8")
    assert set(re.findall(r"^FROM (\S+)", text, re.M)) == {"python:3.11-slim-bookworm"}
    (installed,) = re.findall(r"RUN scripts/lib/venvs ([\w ]+) &&", text)
    for name in installed.split():
        assert f"COPY docker/{name}/requirements.txt docker/{name}/" in text
    assert not re.search(r"\b(pip|uv|apt-get) ", text.replace("uv\n", ""))


def test_postgres_is_the_version_of_the_local_platform(settings: Settings) -> None:
    version = run(Postgres(settings).binaries / "postgres", "--version").stdout.split()[-1]
    assert services()["postgres"]["image"] == f"postgres:{version}-bookworm"


def test_postgres_has_the_settings_of_the_local_platform() -> None:
    lines = re.findall(r"^(\w+) = '?(.*?)'?$", POSTGRES_CONF.read_text(encoding="utf-8"), re.M)
    flags = [flag[2:].split("=", 1) for flag in services()["postgres"]["command"] if flag.startswith("-c")]
    sized_by_the_installation = {name for name, _ in flags} - {"config_file"}
    local = {name: str(value) for name, value in _configuration(5432).items()}
    differs = {
        "listen_addresses": "the network decides who may connect",
        "wal_level": "backups",
        "max_wal_senders": "backups",
        "port": "the default",
        "unix_socket_directories": "the image's, for its own scripts",
    }
    in_files = ("logging_collector", "log_directory", "log_filename", "log_truncate_on_rotation", "log_rotation_")
    by_cores = ("max_worker_processes", "max_parallel_")
    expected = {
        name: value
        for name, value in local.items()
        if name not in sized_by_the_installation | set(differs) and not name.startswith((*in_files, *by_cores))
    }
    found = {name: value for name, value in lines if name not in differs}
    assert found == expected


# Addresses, paths and secrets are the installation's; everything else has the same value in both.
OWN_VALUE = {
    "AIRFLOW_HOME",
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__API__HOST",
    "AIRFLOW__API__PORT",
    "AIRFLOW__API__SECRET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__CORE__PARALLELISM",
    "AIRFLOW__CORE__PLUGINS_FOLDER",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__FAB__CONFIG_FILE",
    "JOURNEYMART_PG_HOST",
    "JOURNEYMART_PG_PORT",
    "JOURNEYMART_SUPERSET_URL",
    "PATH",
    "PYTHONPATH",
    "SUPERSET_DB_PASSWORD",
    "SUPERSET_HOME",
    "SUPERSET_SECRET_KEY",
}
# A proxy in front is the installation's; the local platform has none, and its passwords are in a file of its home.
CONTAINER_ONLY = {
    "AIRFLOW__FAB__ENABLE_PROXY_FIX", "JOURNEYMART_SCHEDULE", "JOURNEYMART_PG_DATABASE", "JM_CAMPAIGN_PASSWORD",
    "JOURNEYMART_DEFINITIONS", "JOURNEYMART_CANARY_SCHEDULE", "JOURNEYMART_TRIGGER_RATE", "JOURNEYMART_SSO_ISSUER",
    "JOURNEYMART_IDLE_MINUTES",
    *(f"{tool}_SSO_{what}" for tool in ("AIRFLOW", "SUPERSET") for what in ("CLIENT_ID", "CLIENT_SECRET", "GROUPS")),
}  # fmt: skip
IMAGE_ONLY = {"JOURNEYMART_HOME", "JOURNEYMART_VENVS", "PATH", "PYTHONUNBUFFERED"}


@pytest.mark.parametrize(("tool", "service"), [(Airflow, "airflow-api-server"), (Superset, "superset")])
def test_environment_is_that_of_the_local_platform(
    tool: type[Airflow] | type[Superset], service: str, settings: Settings
) -> None:
    local = tool(settings).variables()
    image = {name: value for name, value in image_environment(tool.name).items() if name not in IMAGE_ONLY}
    container = {name: value for name, value in environment(service).items() if name not in CONTAINER_ONLY} | image
    assert set(container) == set(local)
    assert {n: v for n, v in container.items() if n not in OWN_VALUE} == {
        n: v for n, v in local.items() if n not in OWN_VALUE
    }


def test_commands_are_those_of_the_local_platform(settings: Settings) -> None:
    for name, (_, *arguments) in Airflow(settings).commands().items():
        assert services()[name]["command"] == arguments, name
    local = Superset(settings).commands()["superset"][1:]
    container = services()["superset"]["command"].split()[1:]
    without_values = {"--bind", "--workers"}
    assert [a for a, before in zip(container, ["", *container], strict=False) if before not in without_values] == [
        a for a, before in zip(local, ["", *local], strict=False) if before not in without_values
    ]


def test_jobs_run_the_scripts_of_the_local_platform() -> None:
    for name, script in (("warehouse", "entrypoint"), ("airflow", "entrypoint"), ("superset", "command")):
        job = services()[f"{name}-init"]
        assert job[script][-1] == f"docker/{name}/prepare.py"
        assert (DOCKER / name / "prepare.py").exists()
        assert job["restart"] == "no"


# ── variables and secrets ────────────────────────────────────────────────────────────────────────────────────


def test_every_variable_is_in_the_example_and_none_has_a_value_there() -> None:
    used = {name: operator for name, operator, _ in VARIABLE.findall(COMPOSE.read_text(encoding="utf-8"))}
    example = re.findall(r"^(#?)(\w+)=(.*)$", (DOCKER / ".env.example").read_text(encoding="utf-8"), re.M)
    assert {name for _, name, _ in example} == set(used)
    assert not [name for _, name, value in example if value]
    optional = {name for comment, name, _ in example if comment}
    assert {name for name, operator in used.items() if operator == "-"} == optional
    assert {name for name, operator in used.items() if operator == "?"} == set(used) - optional


def test_secrets_have_the_names_of_the_local_platform(settings: Settings) -> None:
    example = re.findall(r"^(\w+)=$", (DOCKER / ".env.example").read_text(encoding="utf-8"), re.M)
    addresses = {"JOURNEYMART_LANDING", "JOURNEYMART_AIRFLOW_URL", "JOURNEYMART_SUPERSET_URL"}
    assert set(example) - addresses == set(settings.secrets)


def test_no_secret_is_written_down() -> None:
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|SECRET|FERNET|SQL_ALCHEMY_CONN", variable):
                is_optional = variable == "JOURNEYMART_SMTP_PASSWORD" or variable.endswith("_SSO_CLIENT_SECRET")
                default = "-" if is_optional else r"\?must be set"
                assert re.search(rf"\$\{{\w+:{default}\}}", value), f"{name}: {variable}"


@pytest.mark.parametrize(
    ("service", "passwords"),
    [
        (
            "airflow-scheduler",
            {
                "JM_BUILDER_PASSWORD",
                "JM_CAMPAIGN_PASSWORD",
                "JM_DASHBOARD_PASSWORD",
                "JM_LOADER_PASSWORD",
                "JM_PUBLISHER_PASSWORD",
                "JM_REPORT_PASSWORD",
                "JOURNEYMART_SMTP_PASSWORD",
                "SUPERSET_ADMIN_PASSWORD",
            },
        ),
        ("airflow-api-server", {"JM_CAMPAIGN_PASSWORD"}),
        ("airflow-dag-processor", set()),
        ("airflow-triggerer", set()),
        ("superset", {"SUPERSET_DB_PASSWORD"}),
    ],
)
def test_services_know_only_the_passwords_they_use(service: str, passwords: set[str]) -> None:
    assert {name for name in environment(service) if name.endswith("PASSWORD")} == passwords


# ── restrictions ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
def test_image_does_not_run_as_root(dockerfile: Path) -> None:
    users = re.findall(r"^USER (\S+)", dockerfile.read_text(encoding="utf-8"), re.M)
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1])


@pytest.mark.parametrize("name", sorted(services()))
def test_service_is_restricted(name: str) -> None:
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "cap_add"} & set(service)
    assert all(port.startswith("${JOURNEYMART_BIND:-127.0.0.1}:") for port in service.get("ports", []))
    is_job = service["restart"] == "no"
    assert is_job or service["healthcheck"]["test"][0] == "CMD"
    for volume in service.get("volumes", []):
        is_of_the_host = volume.startswith((".", "$"))
        assert not is_of_the_host or volume.endswith(":ro"), volume


def test_the_landing_zone_is_seen_by_the_scheduler_and_the_command_line_alone() -> None:
    mounts = {name: v for name, s in services().items() for v in s.get("volumes", []) if "landing" in v}
    landing = "${JOURNEYMART_LANDING:?must be set}:/var/lib/journeymart/landing:ro"
    assert mounts == dict.fromkeys(("airflow-scheduler", "journeymart"), landing)


def test_the_command_line_runs_only_when_asked_and_knows_every_role() -> None:
    tool = services()["journeymart"]
    assert tool["profiles"] == ["tools"]
    known = {name for name in tool["environment"] if re.fullmatch(r"JM_\w+_PASSWORD", name)}
    assert known == {password_variable(role) for role in WAREHOUSE_ROLES if role != "jm_admin"}

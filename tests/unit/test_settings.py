"""Where settings come from, and that secrets stay where they belong."""

import stat

import pytest

from journeymart.platform.secrets import ensure_secrets
from journeymart.settings import (
    METADATA_ROLES,
    REPO,
    WAREHOUSE_ROLES,
    Settings,
    SettingsError,
    password_variable,
    read_env_file,
)


def test_defaults_need_no_file_and_no_variable():
    settings = Settings.load({})
    assert settings.home == REPO / ".local"
    assert (settings.pg_host, settings.pg_port, settings.pg_database) == ("127.0.0.1", 54320, "journeymart")
    assert settings.airflow_url == "http://127.0.0.1:54321"
    assert settings.superset_url == "http://127.0.0.1:54322"
    assert settings.landing == REPO / ".local" / "landing"


def test_environment_wins_over_addresses_which_win_over_secrets(tmp_path):
    (tmp_path / "secrets.env").write_text("JM_LOADER_PASSWORD=from-secrets\nJOURNEYMART_PG_HOST=from-secrets\n")
    (tmp_path / "platform.env").write_text("JOURNEYMART_PG_HOST=from-platform\nJOURNEYMART_PG_PORT=40000\n")
    environ = {"JOURNEYMART_HOME": str(tmp_path)}
    assert Settings.load(environ).pg_host == "from-platform"
    assert Settings.load(environ).password("jm_loader") == "from-secrets"
    environ |= {"JOURNEYMART_PG_HOST": "from-environment", "JM_LOADER_PASSWORD": "changed"}
    assert Settings.load(environ).pg_host == "from-environment"
    assert Settings.load(environ).password("jm_loader") == "changed"


def test_web_addresses_follow_the_port_unless_given():
    assert Settings.load({"JOURNEYMART_PG_PORT": "40000"}).superset_url == "http://127.0.0.1:40002"
    given = Settings.load({"JOURNEYMART_AIRFLOW_URL": "https://airflow.bank.example"})
    assert given.docs_url == "https://airflow.bank.example/journeymart/docs/"


def test_values_keep_equal_signs_and_spaces(tmp_path):
    file = tmp_path / "some.env"
    file.write_text("# comment\n\nKEY=a=b c==\n")
    assert read_env_file(file) == {"KEY": "a=b c=="}


@pytest.mark.parametrize("line", ["no separator", "=value", "A B=1"])
def test_a_broken_line_is_named(tmp_path, line):
    file = tmp_path / "some.env"
    file.write_text(f"GOOD=1\n{line}\n")
    with pytest.raises(SettingsError, match=r"some\.env:2"):
        read_env_file(file)


def test_a_port_that_is_no_number_is_refused():
    with pytest.raises(SettingsError, match="JOURNEYMART_PG_PORT"):
        Settings.load({"JOURNEYMART_PG_PORT": "54320; drop"})


def test_a_missing_password_says_which_variable():
    with pytest.raises(SettingsError, match="JM_BUILDER_PASSWORD is not set"):
        Settings.load({}).password("jm_builder")


def test_an_unknown_role_is_refused():
    with pytest.raises(SettingsError, match="no database role 'postgres'"):
        password_variable("postgres")


def test_a_password_is_quoted_in_urls():
    settings = Settings.load({"JM_LOADER_PASSWORD": "p@ss/w:rd 1"})
    assert settings.dsn("jm_loader") == "postgresql://jm_loader:p%40ss%2Fw%3Ard%201@127.0.0.1:54320/journeymart"


def test_secrets_are_not_in_the_representation():
    assert "hidden-value" not in repr(Settings.load({"JM_LOADER_PASSWORD": "hidden-value"}))


def test_generated_secrets_are_private_complete_and_kept(tmp_path):
    ensure_secrets(tmp_path)
    path = tmp_path / "secrets.env"
    first = read_env_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {password_variable(role) for role in WAREHOUSE_ROLES + METADATA_ROLES} < first.keys()
    assert len(set(first.values())) == len(first)
    assert min(map(len, first.values())) >= 24
    ensure_secrets(tmp_path)
    assert read_env_file(path) == first


def test_a_newer_version_adds_only_what_is_missing(tmp_path):
    path = tmp_path / "secrets.env"
    path.write_text("JM_LOADER_PASSWORD=mine\n")
    ensure_secrets(tmp_path)
    values = read_env_file(path)
    assert values["JM_LOADER_PASSWORD"] == "mine"
    assert values["SUPERSET_SECRET_KEY"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

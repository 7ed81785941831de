"""What the environment may say about single sign-on."""

from __future__ import annotations

import pytest

from journeymart.sso import SignOnError, groups, sign_on

DECLARED = {
    "JOURNEYMART_SSO_ISSUER": "https://sso.bank.example/realms/bank/",
    "AIRFLOW_SSO_CLIENT_ID": "airflow",
    "AIRFLOW_SSO_CLIENT_SECRET": "s3cret",
    "AIRFLOW_SSO_GROUPS": "{dw-admins: [Admin]}",
    "SUPERSET_SSO_GROUPS": "{dw-admins: [Admin], /영업: [analyst@fx-sales, auditor]}",
}


@pytest.fixture(autouse=True)
def declared(monkeypatch):
    for name, value in DECLARED.items():
        monkeypatch.setenv(name, value)


def test_it_is_on_where_an_issuer_is_named(monkeypatch):
    found = sign_on("AIRFLOW")
    assert found is not None
    assert found.groups == {"dw-admins": ["Admin"]}
    assert "s3cret" not in repr(found)
    address = found.provider()["remote_app"]["server_metadata_url"]
    assert address == "https://sso.bank.example/realms/bank/.well-known/openid-configuration"
    monkeypatch.setenv("JOURNEYMART_SSO_ISSUER", "")
    assert sign_on("AIRFLOW") is None


def test_roles_of_superset_have_their_names_there():
    assert groups("SUPERSET") == {
        "dw-admins": ["Admin"],
        "/영업": ["journeymart_analyst@fx-sales", "journeymart_auditor"],
    }


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AIRFLOW_SSO_CLIENT_SECRET", "", "AIRFLOW_SSO_CLIENT_SECRET has to be set"),
        ("AIRFLOW_SSO_CLIENT_ID", "", "AIRFLOW_SSO_CLIENT_ID has to be set"),
        ("JOURNEYMART_SSO_ISSUER", "http://sso.bank.example", "has to begin with https"),
        ("JOURNEYMART_SSO_ISSUER", "sso.bank.example", "has to begin with https"),
        ("AIRFLOW_SSO_GROUPS", "{dw: Admin}", "AIRFLOW_SSO_GROUPS has to be"),
        ("AIRFLOW_SSO_GROUPS", "[Admin]", "AIRFLOW_SSO_GROUPS has to be"),
        ("AIRFLOW_SSO_GROUPS", "{1: [Admin]}", "AIRFLOW_SSO_GROUPS has to be"),
        ("AIRFLOW_SSO_GROUPS", "{dw: [", "AIRFLOW_SSO_GROUPS is not YAML"),
    ],
)
def test_what_cannot_be_is_said(monkeypatch, name, value, said):
    monkeypatch.setenv(name, value)
    with pytest.raises(SignOnError, match=said):
        sign_on("AIRFLOW")

"""The authored assets and what dbt says about the models they read."""

from __future__ import annotations

import pytest

from journeymart.platform.airflow import Airflow
from journeymart.settings import Settings
from journeymart.superset.manifest import Models, current_models
from journeymart.superset.specs import Assets, read_assets


@pytest.fixture(scope="session")
def platform(platform: Settings) -> Settings:
    """Without Airflow, whose tests come first: with nothing to do it takes a sixth of a processor."""
    Airflow(platform).stop()
    return platform


@pytest.fixture(scope="session")
def assets() -> Assets:
    return read_assets()


@pytest.fixture(scope="session")
def models(tmp_path_factory) -> Models:
    home = tmp_path_factory.mktemp("dbt")
    # dbt reads the project without connecting.
    return current_models(Settings.load({"JOURNEYMART_HOME": str(home), "JM_BUILDER_PASSWORD": "not used"}))

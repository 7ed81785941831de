"""The authored side of Superset's assets: what the YAML files of docker/superset/assets may say.

Text for people is written as `{ko: …, en: …}` wherever it occurs and becomes one string per locale.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from journeymart.definitions.channels import channel_labels
from journeymart.definitions.packs import load_packs
from journeymart.definitions.sources import field_labels, load_sources
from journeymart.errors import JourneymartError
from journeymart.settings import REPO
from journeymart.sso import PREFIX

ASSETS = REPO / "docker" / "superset" / "assets"
# The schema that dashboards read.
SCHEMA = "mart"
LOCALES = ("ko", "en")
GRID_COLUMNS = 12
# Superset's own role of those who may open everything.
ADMIN_ROLE = "Admin"
INCLUDE = re.compile(r"\{% include '(_\w+\.sql)' -?%\}")


class AssetError(JourneymartError):
    """An asset file cannot be used; the message names the file and every problem found."""


class Spec(BaseModel):
    """Base of all authored objects: unknown keys are errors, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Text(Spec):
    """One text in every language of the product."""

    ko: str = Field(min_length=1)
    en: str = Field(min_length=1)

    def get(self, locale: str) -> str:
        """The text in one of LOCALES."""
        return self.ko if locale == "ko" else self.en


class Database(Spec):
    """A connection of datasets, named by its file; address and password are the installation's."""

    role: str
    parameters: dict[str, str]
    # Statements commit: what a look-up writes down has to stay.
    is_logging: bool = False


class Metric(Spec):
    """A number that charts show: an SQL aggregate over the dataset's columns.

    `is_better_low`: more of it is worse, and coloured so where it is compared.
    """

    label: Text
    expression: str | Text
    description: Text
    is_better_low: bool = False

    def sql(self, locale: str) -> str:
        """The aggregate; it differs between locales only where it returns words."""
        return self.expression if isinstance(self.expression, str) else self.expression.get(locale)


class Column(Spec):
    """A column that a query computes. A column taken over unchanged is written as `model.column` instead."""

    type: str
    label: Text
    description: Text


class Dataset(Spec):
    """What charts read: a published model as it is, or a query over published models.

    `is_logged`: reading writes down who asked, so the query may name the user, and results are never cached.
    `is_live`: what it reads changes between publications, so results are never cached.
    `menu`: its query is given, as JSON, the dashboards or the lessons of menu.yml, an item for every role that may open
    what it leads to.
    `proof`: its query is given, as JSON, what stands behind the numbers of every chart (superset/proof.py).
    `links`: a word and the dashboard whose slug it becomes; <word>_roles are the roles that may open it.
    `names`: a word and what it becomes all [id, label] of: inflow channels, roles, sources, fields of sources, or the
    values of a field that have names.
    """

    model: str | None = None
    query: str | None = None
    title: Text
    description: Text | None = None
    time: str | None = None
    is_logged: bool = False
    is_live: bool = False
    menu: Literal["dashboards", "lessons"] | None = None
    proof: Literal["numbers", "code", "checks", "sources"] | None = None
    links: dict[str, str] = Field(default_factory=dict)
    words: dict[str, Text] = Field(default_factory=dict)
    names: dict[str, Annotated[str, Field(pattern=r"^(channels|roles|sources|fields|values\.\w+)$")]] = Field(
        default_factory=dict
    )
    colors: dict[str, str] = Field(default_factory=dict)
    columns: dict[str, Column | str] = Field(default_factory=dict)
    metrics: dict[str, Metric]

    @model_validator(mode="after")
    def _is_model_or_query(self) -> Dataset:
        if (self.model is None) == (self.query is None):
            raise ValueError("needs either model or query")
        if self.model and (self.columns or self.words or self.links or self.names):
            raise ValueError("columns, words, links and names belong to a query; a model brings its own columns")
        if not set(self.colors) <= set(self.words):
            raise ValueError("colors are those of words")
        if self.query and not (self.columns and self.description):
            raise ValueError("a query needs columns and a description")
        return self


class Chart(Spec):
    """A chart: `params` is Superset's form data with the metrics' and columns' authored names."""

    dataset: str
    type: str
    title: Text
    description: Text | None = None
    filters: dict[str, str | list[str]] = Field(default_factory=dict)
    params: dict[str, Any]


class Filter(Spec):
    """A native filter; it applies to every chart whose dataset has the column (`time`: a date to filter by)."""

    type: Literal["time", "select"]
    label: Text
    description: Text | None = None
    dataset: str | None = None
    column: str | None = None
    multiple: bool = True
    sort_by: str | None = None
    is_required: bool = False
    # Whether a value that is not on the list may be typed.
    is_open: bool = False
    # What is chosen until somebody chooses; of a time, one of Superset's periods.
    default: Text | None = None
    # What an open filter without a list says until something is typed.
    hint: Text | None = None

    @model_validator(mode="after")
    def _has_target(self) -> Filter:
        if (self.type == "select") != bool(self.dataset and self.column):
            raise ValueError("a select filter needs dataset and column, a time filter has neither")
        return self


class Row(Spec):
    """Charts side by side: name → width in twelfths."""

    height: int = Field(gt=0)
    charts: dict[str, int]

    @model_validator(mode="after")
    def _fills_the_grid(self) -> Row:
        if sum(self.charts.values()) != GRID_COLUMNS:
            raise ValueError(f"the widths of {', '.join(self.charts)} do not add up to {GRID_COLUMNS}")
        return self


class Tab(Spec):
    """Rows of charts, then the generated help with its introduction."""

    title: Text
    rows: list[Row] = Field(default_factory=list)
    help: Text | None = None


class Dashboard(Spec):
    """A dashboard; it is made once per locale, the default one under the slug as written."""

    slug: str
    title: Text
    description: Text
    database: str = "journeymart"
    filters: dict[str, Filter]
    tabs: list[Tab]
    # A chart whose bars can be clicked, and the charts that then show only what was clicked.
    clicks: dict[str, list[str]] = Field(default_factory=dict)
    # Template values of its datasets' queries, and the department whose people open it: of packs (superset/packs.py).
    pins: dict[str, list[str]] = Field(default_factory=dict)
    owner: str | None = None
    # Whether the form for segments takes cells of its charts; then the help leads there.
    has_cells: bool = False

    @property
    def charts(self) -> list[str]:
        """Names of its charts in reading order."""
        return [name for tab in self.tabs for row in tab.rows for name in row.charts]


def slug_of(dashboard: Dashboard, locale: str) -> str:
    """Where the dashboard of a locale is found: the default locale under the slug as written."""
    return dashboard.slug if locale == LOCALES[0] else f"{dashboard.slug}-{locale}"


class MenuGroup(Spec):
    """Dashboards for one kind of task; with `packs`, those made of packs."""

    title: Text
    dashboards: list[str] = Field(default_factory=list)
    packs: bool = False


class Lesson(Spec):
    """A question, the chart of a dashboard that answers it, and how to read the answer."""

    question: Text
    dashboard: str
    chart: str
    read: Text


class Menu(Spec):
    """The order in which people find the dashboards, and learn to."""

    groups: list[MenuGroup]
    lessons: list[Lesson]


class Role(Spec):
    """What a group of people may open. Who is in it is decided where people log in.

    With `departments` it is one role for each, whose people see the rows of their own department only. `packs`: those
    of the own department, or all.
    """

    title: Text
    departments: list[Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]] = Field(default_factory=list)
    dashboards: list[str]
    packs: Literal["own", "all"] | None = None
    may: list[Literal["export"]] = Field(default_factory=list)

    @model_validator(mode="after")
    def _has_own(self) -> Role:
        if self.packs == "own" and not self.departments:
            raise ValueError("packs: own needs departments")
        return self


def role_names(name: str, role: Role) -> dict[str, str | None]:
    """What a role of roles.yml is called in Superset, with its department: one for each, or the one without."""
    if role.departments:
        return {f"{PREFIX}{name}@{department}": department for department in role.departments}
    return {PREFIX + name: None}


class Roles(Spec):
    """All of them, by name."""

    roles: dict[str, Role]


class Assets(Spec):
    """Everything under docker/superset/assets, by file name."""

    directory: Path
    databases: dict[str, Database]
    menu: Menu
    roles: dict[str, Role]
    datasets: dict[str, Dataset]
    queries: dict[str, str]
    charts: dict[str, Chart]
    dashboards: dict[str, Dashboard]
    # Labels of what is defined, by kind and id.
    names: dict[str, dict[str, Text]]
    # Where Airflow is found, for links to its forms.
    airflow_url: str

    def opened_by(self, role: Role, department: str | None = None) -> list[str]:
        """Names of the dashboards that a role may open: as listed, then its packs."""
        packs = [
            name
            for name, dashboard in self.dashboards.items()
            if dashboard.owner and (role.packs == "all" or (role.packs == "own" and dashboard.owner == department))
        ]
        return [*role.dashboards, *packs]

    def people_of(self, dashboard: str) -> list[str]:
        """Names in Superset of the roles that may open a dashboard, administrators first."""
        return [ADMIN_ROLE] + [
            full_name
            for name, role in self.roles.items()
            for full_name, department in role_names(name, role).items()
            if dashboard in self.opened_by(role, department)
        ]

    def in_group(self, group: MenuGroup) -> list[str]:
        """Names of the dashboards of a group of the menu."""
        packs = [name for name, dashboard in self.dashboards.items() if dashboard.owner]
        return [*group.dashboards, *(packs if group.packs else [])]

    def datasets_of(self, dashboard: Dashboard) -> list[str]:
        """Names of the datasets that a dashboard's charts and filters read, each once."""
        read = [self.charts[name].dataset for name in dashboard.charts]
        return list(dict.fromkeys([*read, *(item.dataset for item in dashboard.filters.values() if item.dataset)]))


Model = TypeVar("Model", bound=BaseModel)


def read_assets(directory: Path = ASSETS, definitions: Path | None = None, airflow_url: str = "") -> Assets:
    """Read the authored files, and of `definitions` (None: the shipped ones) packs, as dashboards, and names; links to
    Airflow lead to `airflow_url`.

    Raises AssetError with every problem if a file is not YAML or does not follow the models above, DefinitionError if a
    definition cannot be used.
    """
    from journeymart.superset.packs import pack_dashboards  # noqa: PLC0415 - builds the models of this module

    problems: list[str] = []

    def read(path: Path, model: type[Model]) -> Model | None:
        try:
            return model.model_validate(yaml.load(path.read_text("utf-8"), yaml.CSafeLoader))
        except ValidationError as error:
            problems.extend(
                f"{path.relative_to(directory)}: {'.'.join(map(str, found['loc']))}: {found['msg']}"
                for found in error.errors()
            )
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            problems.append(f"{path.name}: {error}")
        return None

    def read_all(folder: str, model: type[Model]) -> dict[str, Model]:
        found = {path.stem: read(path, model) for path in sorted((directory / folder).glob("*.yml"))}
        return {name: spec for name, spec in found.items() if spec is not None}

    databases = read_all("databases", Database)
    datasets = read_all("datasets", Dataset)
    charts = read_all("charts", Chart)
    dashboards = read_all("dashboards", Dashboard)
    menu = read(directory / "menu.yml", Menu)
    roles = read(directory / "roles.yml", Roles)
    queries = _read_queries(directory / "datasets", problems)
    if problems or menu is None or roles is None:
        raise AssetError("Superset assets cannot be used:\n  " + "\n  ".join(problems))
    sources = load_sources(definitions).sources
    names = {"roles": _role_labels(roles.roles)} | {
        kind: {key: Text(ko=label.ko, en=label.en) for key, label in labels.items()}
        for kind, labels in {
            "channels": channel_labels(definitions),
            "sources": {key: source.label for key, source in sources.items()},
            **field_labels(sources),
        }.items()
    }
    packs = pack_dashboards(load_packs(definitions), dashboards, names)
    if repeated := dashboards.keys() & packs.keys():
        raise AssetError(f"dashboards: {', '.join(sorted(repeated))}: a pack has this name")
    return Assets(
        directory=directory,
        airflow_url=airflow_url,
        databases=databases,
        menu=menu,
        roles=roles.roles,
        datasets=datasets,
        queries=queries,
        charts=charts,
        dashboards=dashboards | packs,
        names=names,
    )


def _role_labels(roles: Mapping[str, Role]) -> dict[str, Text]:
    """What people call the roles that can be granted, by the names that grants have."""
    return {
        full_name.removeprefix(PREFIX): Text(
            **{locale: role.title.get(locale) + (f" ({department})" if department else "") for locale in LOCALES}
        )
        for name, role in roles.items()
        for full_name, department in role_names(name, role).items()
    }


def _read_queries(directory: Path, problems: list[str]) -> dict[str, str]:
    """The queries by file name, with `{% include '_part.sql' %}` replaced by that file: Superset knows no files."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(directory.glob("*.sql"))}

    def part(found: re.Match[str]) -> str:
        if found[1] not in texts:
            problems.append(f"datasets: there is no file {found[1]} to include")
            return ""
        return INCLUDE.sub(part, texts[found[1]].rstrip("\n"))

    return {name: INCLUDE.sub(part, text) for name, text in texts.items() if not name.startswith("_")}


def localize(value: Any, locale: str) -> Any:
    """Replace every `{ko: …, en: …}` inside a YAML value by its text for one locale."""
    if isinstance(value, dict):
        if set(value) == set(LOCALES):
            return value[locale]
        return {key: localize(item, locale) for key, item in value.items()}
    if isinstance(value, list):
        return [localize(item, locale) for item in value]
    return value

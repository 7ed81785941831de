"""The dashboard's files, without a server: what is checked before an import, and what is imported."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from journeymart.publish.access import PERSONAL
from journeymart.quality.gate import DIRECTORY
from journeymart.quality.rules import Rulebook
from journeymart.settings import REPO
from journeymart.superset.bundle import BETTER, MASKED_PASSWORD, WORSE, asset_uuid, asset_uuids, contents, pack
from journeymart.superset.help import figure_of, metrics_of, proof_link
from journeymart.superset.lint import check, lint, lint_query
from journeymart.superset.proof import checks_of, code_of, sources_of
from journeymart.superset.specs import ASSETS, LOCALES, AssetError, read_assets, role_names, slug_of

ADDRESS = "warehouse.example:5432/journeymart"
HANGUL = re.compile("[가-힣]")


@pytest.fixture(scope="module")
def bundle(assets, models) -> dict[str, dict[str, Any]]:
    return dict(contents(assets, models, ADDRESS))


def of_kind(bundle, kind: str, locale: str = "") -> dict[str, dict[str, Any]]:
    return {p: c for p, c in bundle.items() if p.startswith(f"{kind}/") and p.endswith(f"{locale}.yaml")}


def test_shipped_assets_have_no_problem(assets, models):
    assert lint(assets, models) == []


@pytest.fixture
def broken(tmp_path, models) -> Callable[[str, str, str], list[str]]:
    """Lint the shipped assets with one text of one file replaced."""

    def lint_with(file: str, old: str, new: str) -> list[str]:
        shutil.copytree(ASSETS, tmp_path / "assets")
        path = tmp_path / "assets" / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return lint(read_assets(tmp_path / "assets"), models)

    return lint_with


@pytest.mark.parametrize(
    ("file", "old", "new", "problem"),
    [
        ("charts/kpi_sessions.yml", "metric: sessions", "metric: visits",
         "charts/kpi_sessions.yml: params.metric: dataset session_period has no metric 'visits'"),
        ("charts/main_paths.yml", "source: source", "source: sauce",
         "charts/main_paths.yml: params.source: dataset main_path has no column 'sauce'"),
        ("charts/status.yml", "column: failed", "column: failures",
         "charts/status.yml: params: dataset publication_latest has no metric or column 'failures' to format"),
        ("charts/funnel_errors.yml", "is_error:", "is_mistake:",
         "charts/funnel_errors.yml: filters: dataset funnel_stop has no column 'is_mistake'"),
        ("charts/daily_trend.yml", "dataset: session_daily", "dataset: session_weekly",
         "charts/daily_trend.yml: dataset: there is no dataset 'session_weekly'"),
        ("dashboards/journey_overview.yml", "charts: {main_paths: 12}", "charts: {man_paths: 12}",
         "dashboards/journey_overview.yml: tabs: there is no chart 'man_paths'"),
        ("dashboards/journey_overview.yml", "column: device_type", "column: gadget",
         "dashboards/journey_overview.yml: filters.device: there is no column 'session_daily.gadget'"),
        ("dashboards/around_paths.yml", "sort_by: standing", "sort_by: fame",
         "dashboards/around_paths.yml: filters.anchor: dataset anchor has no metric 'fame'"),
        ("datasets/funnel.yml", "funnel_step.entry_date", "funnel_step.entered_on",
         "datasets/funnel.yml:  'entered_on' is not in the dbt manifest"),
        ("datasets/publication_latest.yml", "model: publication_latest", "model: file",
         "datasets/publication_latest.yml: file 'file' is not in the dbt manifest"),
        ("datasets/session_daily.yml", "time: session_date", "time: channel",
         "datasets/session_daily.yml: time: 'channel' is not a date column"),
        ("datasets/session_period.yml", "SUM(error_sessions)", "SUM(misses)",
         "datasets/session_period.yml: metrics.error_sessions: the expression uses no column of the dataset"),
        ("datasets/_filters.sql", "filter_values('channel'", "filter_values('chanel'",
         "datasets/main_path.yml: main_path.sql: filters by 'chanel', which is not a column of the dataset"),
        ("datasets/step_choice.sql", "mart.node", "raw.node",
         "datasets/step_choice.yml: step_choice.sql: reads raw.node: dashboards read schema mart only"),
        ("dashboards/main_paths.yml", "charts: {journey_map: 12}", "charts: {top_paths: 12}",
         "datasets/journey_map.yml: no dashboard uses it"),
        ("charts/segment_moves.yml", "difference, low, high]", "difference, low]",
         "datasets/segment_compare.yml: metrics.high: no chart shows it"),
        ("datasets/occurrence.yml", "words:", "words:\n  never: {ko: 안, en: never}",
         "datasets/occurrence.yml: words.never: unused"),
        ("datasets/kpi.yml", "  device_words: values.device_type\n", "",
         "datasets/kpi.yml: names.device_words: kpi.sql needs it"),
        ("dashboards/journey_overview.yml", "column: device_type\n    multiple: false", "column: device_type",
         "dashboards/journey_overview.yml: filters.device: 'main_paths' ranks each value by itself: one at a time"),
        ("roles.yml", "executive:", "boss: {title: {ko: 장, en: Boss}, dashboards: [desk]}\n  executive:",
         "roles.yml: boss: there is no dashboard 'desk'"),
        ("roles.yml", "detection, customer_view, ", "detection, ", "roles.yml: no role may open 'customer_view'"),
        ("dashboards/customer_view.yml", "database: journeymart_cs", "database: journeymart",
         "dashboards/customer_view.yml: dataset customer_device writes down who asks; journeymart forgets it"),
        ("dashboards/customer_view.yml", "database: journeymart_cs", "database: elsewhere",
         "dashboards/customer_view.yml: database: there is no database 'elsewhere'"),
        ("datasets/funnel.yml", "people: funnel_people", "people: folk",
         "datasets/funnel.yml: links: there is no dashboard 'folk'"),
        ("menu.yml", "funnels", "tunnels", "menu.yml: there is no dashboard 'tunnels'"),
        ("menu.yml", ", funnels", "", "menu.yml: 'funnels' is not listed"),
        ("menu.yml", "funnels", "path_steps", "menu.yml: 'path_steps' is listed twice"),
        ("dashboards/funnels.yml", "[funnel_next,", "[funnel_groups,",
         "dashboards/funnels.yml: clicks.funnel: 'funnel_groups' knows no column by which 'funnel' is divided"),
        (
            "dashboards/funnels.yml",
            "[funnel_next,",
            "[funnel_steps,",
            "dashboards/funnels.yml: clicks.funnel: 'funnel_steps' compares rows with those that a click takes away",
        ),
    ],
)  # fmt: skip
def test_a_broken_reference_is_found(broken, file, old, new, problem):
    assert problem in broken(file, old, new)


@pytest.mark.parametrize(
    "template",
    [
        "select 1 where page = '{{ url_param('page') }}'",
        "select 1 where page in {{ url_param('page') | where_in }}",
        "select 1 where page = '{{ filter_values('page')[0] }}'",
        "select 1 where page in ({{ \"'\" + \"','\".join(filter_values('page')) + \"'\" }})",
        "select 1 where page in {{ filter_values('page') | where_in | safe }}",
        "select 1 where day >= '{{ period.time_range }}'",
        "{% if current_username() == 'x' %} select 1 {% endif %}",
    ],
)
def test_a_template_may_not_print_or_read_what_is_not_safe(template):
    assert list(lint_query(template))


def test_a_query_may_keep_what_it_shows_to_the_roles_of_who_asks():
    template = (
        "{% set own_roles = current_user_roles() -%} select 1 from mart.x where role in {{ own_roles | where_in }}"
    )
    assert list(lint_query(template)) == []
    assert list(lint_query(template.replace("roles()", "roles(add_to_cache_keys=False)")))


def test_only_a_query_that_writes_down_who_asks_may_name_them():
    template = "select 1 from mart.x(viewer => {{ [current_username()] | where_in }}) as x"
    assert list(lint_query(template, is_logged=True)) == []
    assert list(lint_query(template))
    assert list(lint_query(template.replace(" | where_in", ""), is_logged=True))


def test_the_safe_ways_are_accepted():
    template = """
        {% set period = get_time_filter('day') %}{% set pages = filter_values('page') %}
        select 1 from mart.x
        where {% if pages %} page in {{ pages | where_in }} and {% endif %} day < {{ period.to_expr }}
    """
    assert list(lint_query(template)) == []


def test_an_unknown_key_is_an_error_with_its_file(tmp_path):
    shutil.copytree(ASSETS, tmp_path / "assets")
    with (tmp_path / "assets" / "charts" / "status.yml").open("a") as file:
        file.write("colour: red\n")
    with pytest.raises(AssetError, match=r"charts/status\.yml: colour: Extra inputs"):
        read_assets(tmp_path / "assets")


def test_a_part_that_is_not_there_is_an_error(tmp_path):
    shutil.copytree(ASSETS, tmp_path / "assets")
    (tmp_path / "assets" / "datasets" / "_scope.sql").unlink()
    with pytest.raises(AssetError, match=r"there is no file _scope\.sql to include"):
        read_assets(tmp_path / "assets")


def test_an_unused_chart_stops_the_import(tmp_path, models):
    shutil.copytree(ASSETS, tmp_path / "assets")
    shutil.copy(ASSETS / "charts" / "status.yml", tmp_path / "assets" / "charts" / "lonely.yml")
    with pytest.raises(AssetError, match=r"charts/lonely\.yml: no dashboard shows it"):
        check(read_assets(tmp_path / "assets"), models)


def test_the_same_assets_give_the_same_bytes(assets, models):
    first = pack(contents(assets, models, ADDRESS))
    assert first == pack(contents(read_assets(), models, ADDRESS))
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert "journeymart/metadata.yaml" in archive.namelist()


def test_identifiers_are_for_ever():
    # A changed namespace or name would leave every bookmark and every chart of a user behind.
    assert asset_uuid("dashboards", "journey_overview", "ko") == "9d3f19c1-aa8e-5232-a15b-a0cae5991c69"
    assert asset_uuid("databases", "journeymart") == "4aa42e84-0aea-5f76-893e-92f13b1814a7"


def test_every_reference_inside_the_bundle_resolves(bundle):
    databases = {content["uuid"] for content in of_kind(bundle, "databases").values()}
    datasets = {content["uuid"] for content in of_kind(bundle, "datasets").values()}
    charts = {content["uuid"] for content in of_kind(bundle, "charts").values()}
    assert {content["database_uuid"] for content in of_kind(bundle, "datasets").values()} == databases
    assert {content["dataset_uuid"] for content in of_kind(bundle, "charts").values()} <= datasets
    for dashboard in of_kind(bundle, "dashboards").values():
        nodes = [node for node in dashboard["position"].values() if isinstance(node, dict)]
        placed = [node["meta"] for node in nodes if node["type"] == "CHART"]
        assert {meta["uuid"] for meta in placed} <= charts
        numbers = {meta["chartId"] for meta in placed}
        for item in dashboard["metadata"]["native_filter_configuration"]:
            assert {target["datasetUuid"] for target in item["targets"] if target} <= datasets
            assert set(item["scope"]["excluded"]) < numbers
        for node in nodes:
            assert all(child in dashboard["position"] for child in node.get("children", []))


def test_each_locale_has_its_own_complete_set(assets, bundle):
    for kind, wanted in asset_uuids(assets).items():
        assert {content["uuid"] for content in of_kind(bundle, kind).values()} == wanted
        ko, en = (len(of_kind(bundle, kind, f"_{locale}")) for locale in LOCALES)
        assert ko == en == len(wanted) / 2
    assert slug_of(assets.dashboards["journey_overview"], "ko") == "journey-overview"
    assert slug_of(assets.dashboards["journey_overview"], "en") == "journey-overview-en"


def test_no_chart_or_dataset_is_shared_between_dashboards(bundle):
    """Superset shows a dashboard to whoever may read one of its datasets."""
    dataset_of = {content["uuid"]: content["dataset_uuid"] for content in of_kind(bundle, "charts").values()}
    seen: dict[str, str] = {}
    for path, dashboard in of_kind(bundle, "dashboards").items():
        nodes = [node for node in dashboard["position"].values() if isinstance(node, dict)]
        charts = {node["meta"]["uuid"] for node in nodes if node["type"] == "CHART"}
        filters = dashboard["metadata"]["native_filter_configuration"]
        datasets = {target["datasetUuid"] for item in filters for target in item["targets"] if target}
        for used in charts | datasets | {dataset_of[chart] for chart in charts}:
            assert seen.setdefault(used, path) == path


def test_the_menu_leads_every_role_to_what_it_may_open(assets, bundle):
    for locale in LOCALES:
        items = json.loads(bundle[f"datasets/journeymart/start.menu_{locale}.yaml"]["template_params"]["menu"])
        slugs = {slug_of(item, locale): name for name, item in assets.dashboards.items()}
        listed = [(item["role"], slugs[item["slug"]]) for item in items]
        expected = {
            (full_name, name)
            for role, spec in assets.roles.items()
            for full_name, department in role_names(role, spec).items()
            for name in assets.opened_by(spec, department)
        } | {("Admin", name) for name in assets.dashboards}
        assert sorted(listed) == sorted(pair for pair in expected if pair[1] != "start")


def test_nothing_that_people_read_is_in_the_other_language(assets, bundle):
    def seen(locale: str) -> list[str]:
        texts = [c["slice_name"] for c in of_kind(bundle, "charts", f"_{locale}").values()]
        texts += [m["metric_name"] for d in of_kind(bundle, "datasets", f"_{locale}").values() for m in d["metrics"]]
        for dashboard in of_kind(bundle, "dashboards", f"_{locale}").values():
            texts.append(dashboard["dashboard_title"])
            texts += [item["name"] for item in dashboard["metadata"]["native_filter_configuration"]]
            nodes = [node for node in dashboard["position"].values() if isinstance(node, dict)]
            texts += [node["meta"][key] for node in nodes for key in ("text", "code") if key in node["meta"]]
        return texts

    assert [text for text in seen("ko") if not HANGUL.search(text)] == []
    assert [text for text in seen("en") if HANGUL.search(text)] == []


def test_columns_are_labelled_by_dbt(bundle, models):
    columns = bundle["datasets/journeymart/landing.publication_latest_ko.yaml"]["columns"]
    assert [column["column_name"] for column in columns] == list(models["publication_latest"])
    labels = {column["column_name"]: column["verbose_name"] for column in columns}
    assert labels["published_at"] == models["publication_latest"]["published_at"].label["ko"] == "게시 시각"


def test_what_is_defined_has_its_name_in_the_language_of_the_dashboard(bundle):
    for locale, source, channel, app in (
        ("ko", "행동 로그", "직접 유입", "앱"),
        ("en", "Clickstream", "Direct", "App"),
    ):
        values = bundle[f"datasets/journeymart/landing.arrival_{locale}.yaml"]["template_params"]
        assert ["clickstream", source] in values["source_names"]
        values = bundle[f"datasets/journeymart/channels.session_{locale}.yaml"]["template_params"]
        assert ["direct", channel] in values["channel_names"]
        assert ["app", app] in values["channel_words"]


OPEN_ENDED = {  # columns with as many values as the data has, where no query puts the rest into one row
    "page", "exit_page", "next_page", "next_name", "error_code", "error_shown", "utm_campaign", "device_model",
    "happened", "started", "landed_date", "loaded_shown", "reason_shown", "customer_shown",
}  # fmt: skip


def test_a_table_that_is_cut_says_so(assets):
    for name, chart in assets.charts.items():
        shown = {*chart.params.get("groupby", []), *chart.params.get("all_columns", [])}
        if chart.type == "table" and shown & OPEN_ENDED:
            limit = f"{chart.params['row_limit']:,}"
            assert limit in chart.description.ko and limit in chart.description.en, name


def test_help_explains_every_number_and_chart_with_its_origin(assets, bundle):
    for name, dashboard in assets.dashboards.items():
        for locale in LOCALES:
            texts = [
                node["meta"]["code"]
                for node in bundle[f"dashboards/{name}_{locale}.yaml"]["position"].values()
                if isinstance(node, dict) and node["type"] == "MARKDOWN"
            ]
            if name == "start":
                assert texts == []  # shows the data status, which every other dashboard explains, and the menu
                continue
            (text,) = texts
            for key in dashboard.charts:
                chart = assets.charts[key]
                title = chart.title.get(locale)
                metrics = [assets.datasets[chart.dataset].metrics[metric] for metric in metrics_of(chart)]
                assert (chart.description and f"**{title}**" in text) or metrics, (name, key)
                for metric in metrics:
                    start = f"| **{metric.label.get(locale)}** | {metric.description.get(locale)} | "
                    rows = [line.removeprefix(start) for line in text.splitlines() if line.startswith(start)]
                    shown = [row.partition(" | `mart.") for row in rows]
                    assert any(title in titles and origin for titles, origin, _ in shown), (name, key)
    overview = bundle["dashboards/journey_overview_ko.yaml"]["position"]["MARKDOWN-2"]["meta"]["code"]
    assert "`mart.session` `mart.session_daily` · 세션 수, 전환 세션" in overview


@pytest.mark.parametrize("locale", LOCALES)
def test_every_chart_has_its_proof(assets, models, bundle, locale):
    """The help leads to it, and it names what it means, checks and code that there are, and the sources."""

    def shown(dataset: str, *words: str) -> Iterator[list[dict[str, Any]]]:
        values = bundle[f"datasets/journeymart/proof.{dataset}_{locale}.yaml"]["template_params"]
        return (json.loads(base64.b64decode(values[word])) for word in words)

    (numbers,) = shown("proof_number", "numbers")
    code, *known = shown("proof_code", "code", "figures")
    checks, figures_of_checks = shown("proof_check", "checks", "figures")
    sources, figures_of_files = shown("proof_file", "sources", "figures")
    figures = [(name, chart) for name, dashboard in assets.dashboards.items() for chart in dashboard.charts]
    called = {figure_of(*figure, assets, locale): figure for figure in figures}
    assert len(called) == len(figures), "a figure is known by its name"
    assert {item["figure"] for item in numbers} == set(called)
    assert known == [figures_of_checks] == [figures_of_files]
    behind = {item["figure"]: item["origin"] for item in figures_of_checks}
    for name, dashboard in assets.dashboards.items():
        texts = [
            node["meta"]["code"]
            for node in bundle[f"dashboards/{name}_{locale}.yaml"]["position"].values()
            if isinstance(node, dict) and node["type"] == "MARKDOWN"
        ]
        for chart in dashboard.charts:
            place = behind[figure_of(name, chart, assets, locale)]
            assert name == "start" or f"({proof_link(name, chart, assets, locale)})" in texts[0], (name, chart)
            for items in (code, checks):
                assert any(place in item["origins"] for item in items), (name, chart)
    for item in code:
        assert item["sha256"] == hashlib.sha256((REPO / item["file"]).read_bytes()).hexdigest()
    rules = [rule for suite in Rulebook(DIRECTORY).suites for rule in suite.rules]
    assert {(item["check_id"], item["title"]) for item in checks} == {
        (rule.id, getattr(rule.title, locale)) for rule in rules
    }
    assert {item["source"] for item in sources} == set(assets.names["sources"])


def test_what_stands_behind_a_number_is_what_it_is_made_of(assets, models):
    errors, people = ("error_page", "funnel")
    assert sources_of(errors, assets, models) == ["clickstream", "transactions"]
    assert {"DQ-RAW-LINES", "DQ-NEXT-LINES", "DQ-NEXT-SESSION"} <= set(checks_of(errors, assets, models))
    assert "DQ-NEXT-FUNNEL" not in checks_of(errors, assets, models)
    assert {"DQ-NEXT-FUNNEL", "DQ-NEXT-SESSION"} <= set(checks_of(people, assets, models))
    assert {
        "docker/superset/assets/datasets/funnel.sql",
        "docker/superset/assets/datasets/_funnel.sql",
        "dbt_project/mart_functions/funnel.sql",
        "dbt_project/models/marts/journey/funnel_step.sql",
    } <= set(code_of(people, assets, models))


def test_no_password_is_in_the_bundle(bundle):
    databases = {database["database_name"]: database for database in of_kind(bundle, "databases").values()}
    for name, role in (("journeymart", "jm_report"), ("journeymart_cs", "jm_cs")):
        database = databases[name]
        assert database["sqlalchemy_uri"] == f"postgresql+psycopg2://{role}:{MASKED_PASSWORD}@{ADDRESS}"
        assert database["allow_dml"] is False
        assert "statement_timeout=60s" in database["extra"]["engine_params"]["connect_args"]["options"]


def test_only_the_connection_of_look_ups_commits_and_its_results_are_not_cached(assets, bundle):
    for name, database in of_kind(bundle, "databases").items():
        commits = database["extra"]["engine_params"].get("isolation_level") == "AUTOCOMMIT"
        assert commits == (name == "databases/journeymart_cs.yaml")
    for path, content in [*of_kind(bundle, "datasets").items(), *of_kind(bundle, "charts").items()]:
        name = path.rpartition("/")[2].removesuffix("_ko.yaml").removesuffix("_en.yaml").partition(".")[2]
        spec = assets.datasets[name if path.startswith("datasets/") else assets.charts[name].dataset]
        assert (content["cache_timeout"] == -1) == (spec.is_logged or spec.is_live), path


def test_no_dataset_of_a_report_offers_a_personal_column(bundle):
    for path, dataset in of_kind(bundle, "datasets").items():
        if not path.startswith("datasets/journeymart_cs/"):
            assert {column["column_name"] for column in dataset["columns"]}.isdisjoint(PERSONAL), path


def test_a_filter_reaches_exactly_the_charts_that_know_its_column(assets, bundle):
    dashboard = bundle["dashboards/journey_overview_ko.yaml"]
    names = dict(enumerate(assets.dashboards["journey_overview"].charts, start=1))
    reached = {
        item["id"]: {name for number, name in names.items() if number not in item["scope"]["excluded"]}
        for item in dashboard["metadata"]["native_filter_configuration"]
    }
    everywhere = set(names.values()) - {"status", "campaign_effect", "trigger_effect"}
    assert reached == dict.fromkeys(reached, everywhere) | {"NATIVE_FILTER-period": everywhere | {"trigger_effect"}}
    paths = bundle["dashboards/main_paths_ko.yaml"]["metadata"]["native_filter_configuration"]
    [status] = [n for n, name in enumerate(assets.dashboards["main_paths"].charts, start=1) if name == "status"]
    assert [item["scope"]["excluded"] for item in paths] == [[status]] * len(paths)


def test_a_period_reaches_the_bars_and_the_line(assets, bundle):
    both = [c["params"] for c in of_kind(bundle, "charts").values() if c["viz_type"] == "mixed_timeseries"]
    assert {params["x_axis"] for params in both} == {"session_date", "entry_date", "detection_date"}
    for params in both:
        assert params["adhoc_filters_b"] == params["adhoc_filters"]
        assert (params["x_axis"], "TEMPORAL_RANGE") in {
            (item["subject"], item["operator"]) for item in params["adhoc_filters_b"]
        }


def test_more_is_better_but_of_errors(bundle):
    css = bundle["dashboards/journey_overview_ko.yaml"]["css"]
    for title, more, less in (("세션", BETTER, WORSE), ("오류 세션", WORSE, BETTER)):
        for direction, color in (("positive", more), ("negative", less)):
            place = f'[data-test-chart-name="{title}"] .{direction} .subheader-line:not(.subtitle-line)'
            assert f"{place} {{ color: {color};" in css


def test_a_click_reaches_what_is_written_and_nothing_else(assets, bundle):
    metadata = bundle["dashboards/pack_remittance_en.yaml"]["metadata"]
    names = dict(enumerate(assets.dashboards["pack_remittance"].charts, start=1))
    reached = {
        names[item["id"]]: set(names.values()) - {names[number] for number in item["crossFilters"]["scope"]["excluded"]}
        for item in metadata["chart_configuration"].values()
    }
    assert metadata["cross_filters_enabled"]
    assert reached == {name: set() for name in names.values()} | {"funnel": {"funnel_next", "funnel_errors"}}
    assert not bundle["dashboards/around_paths_ko.yaml"]["metadata"]["cross_filters_enabled"]


def test_a_pack_becomes_a_dashboard_that_shows_nothing_but_its_own(assets, bundle):
    dashboard = assets.dashboards["pack_remittance"]
    assert [tab.title.en for tab in dashboard.tabs] == [
        "Funnel", "After stopping", "Before and after", "Paths between", "Help",
    ]  # fmt: skip
    pins = {
        "only_funnels": ["FN-REMITTANCE"],
        "only_anchors": ["transaction:FX_REMIT", "page:FXR010"],
        "only_starts": ["FXR010"],
        "only_ends": ["FX_REMIT"],
        "only_segments": ["SG-FX-INTEREST", "SG-AGGRESSIVE", "SG-STABLE"],
    }
    for name in ("funnel", "anchor", "between", "segment_choice"):
        values = bundle[f"datasets/journeymart/pack_remittance.{name}_ko.yaml"]["template_params"]
        assert values | pins == values
    assert bundle["dashboards/pack_remittance_en.yaml"]["dashboard_title"] == "Overseas remittance"
    people = {role: set(assets.opened_by(spec, "fx-sales")) for role, spec in assets.roles.items()}
    packs = {name for name, item in assets.dashboards.items() if item.owner}
    assert {role: len(opened & packs) for role, opened in people.items()} == {
        "data_team": 4, "analyst": 1, "marketer": 0, "customer_service": 0, "executive": 0, "auditor": 0,
    }  # fmt: skip


def test_the_filters_of_a_pack_begin_with_its_sessions(tmp_path):
    words = "label: {ko: 앱, en: App}, description: {ko: 앱, en: App}, owner: sales, anchors: [{page: A}]"
    (tmp_path / "packs.yml").write_text(f"packs: [{{id: PK-APP, {words}, channel: app, domain: M.Bank.example}}]")
    filters = read_assets(definitions=tmp_path).dashboards["pack_app"].filters
    assert {name: (item.default.ko, item.default.en) for name, item in filters.items() if item.default} == {
        "channel": ("앱", "App"), "domain": ("m.bank.example", "m.bank.example"),
    }  # fmt: skip


def test_a_word_that_is_pinned_is_used_by_a_query(assets):
    """A pin that no query reads would show everything instead of the pack's own."""
    pins = {pin for dashboard in assets.dashboards.values() for pin in dashboard.pins}
    for pin in pins:
        assert any(re.search(rf"\b{pin}\b", sql) for sql in assets.queries.values()), pin

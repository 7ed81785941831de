"""A dashboard for every pack of definitions/packs.yml, put together from charts that other dashboards show too.

What a pack looks at is handed to its datasets as template values (`pins`): their queries offer and show nothing else.
Which sessions it is about is what its filters begin with: who wants to compare may choose others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from journeymart.definitions.packs import Pack
from journeymart.superset.specs import AssetError, Dashboard, Filter, Row, Tab, Text

PREFIX = "pack_"
# Labels of what is defined, by kind and id.
Names = Mapping[str, Mapping[str, Text]]
_STATUS = Row(height=16, charts={"status": 12})


def pack_dashboards(packs: tuple[Pack, ...], dashboards: Mapping[str, Dashboard], names: Names) -> dict[str, Dashboard]:
    """The dashboards of `packs` by name, with filters of the dashboard of paths around an anchor.

    Raises AssetError if that is not there.
    """
    return {name_of(pack): _dashboard(pack, dashboards, names) for pack in packs}


def name_of(pack: Pack) -> str:
    """What a pack's dashboard is called among the assets: `pack_sec_out` for PK-SEC-OUT."""
    return PREFIX + pack.id.removeprefix("PK-").lower().replace("-", "_")


def _dashboard(pack: Pack, dashboards: Mapping[str, Dashboard], names: Names) -> Dashboard:
    if "around_paths" not in dashboards:
        raise AssetError("dashboards/around_paths.yml is missing: packs have its filters")
    shared = dashboards["around_paths"].filters
    filters: dict[str, Filter] = {}
    pins: dict[str, list[str]] = {}
    tabs = []
    if pack.funnel:
        pins["only_funnels"] = [pack.funnel]
        tabs += [_funnel_tab(), _stops_tab()]
    if pack.anchors:
        pins["only_anchors"] = [f"{anchor.kind}:{anchor.code}" for anchor in pack.anchors]
        filters |= {name: shared[name] for name in ("anchor", "occurrence", "journey")}
        tabs.append(_around_tab())
    if pack.between:
        filters["journey"] = shared["journey"]
        pins |= {"only_starts": [pack.between.start.code], "only_ends": [pack.between.end.code]}
        tabs.append(_between_tab())
    if pack.segments:
        pins["only_segments"] = list(pack.segments)
    tabs[0] = tabs[0].model_copy(update={"rows": [_STATUS, *tabs[0].rows]})
    return Dashboard(
        slug=pack.id.lower(),
        title=Text(ko=pack.label.ko, en=pack.label.en),
        description=Text(ko=pack.description.ko, en=pack.description.en),
        filters=filters
        | {
            name: _with_default(shared[name], pack, names)
            for name in ("period", "segment", "channel", "domain", "device")
        },
        tabs=[*tabs, _help_tab(pack, dashboards)],
        pins=pins,
        clicks=dashboards["funnels"].clicks if pack.funnel and "funnels" in dashboards else {},
        owner=pack.owner,
        has_cells=True,
    )


def _with_default(item: Filter, pack: Pack, names: Names) -> Filter:
    """A filter that begins with the sessions of the pack."""
    value = pack.sessions.get(item.column or "")
    shown = value and names.get(f"values.{item.column}", {}).get(value, Text(ko=value, en=value))
    return item.model_copy(update={"default": shown})


def _funnel_tab() -> Tab:
    kpis = {"funnel_started": 3, "funnel_finished": 2, "funnel_rate": 2, "funnel_open": 2, "funnel_minutes": 3}
    return Tab(
        title=Text(ko="퍼널", en="Funnel"),
        rows=[
            Row(height=16, charts=kpis),
            Row(height=50, charts={"funnel": 5, "funnel_steps": 7}),
            Row(height=44, charts={"funnel_trend": 7, "funnel_groups": 5}),
        ],
    )


def _stops_tab() -> Tab:
    return Tab(
        title=Text(ko="멈춘 뒤", en="After stopping"),
        rows=[Row(height=60, charts={"funnel_next": 6, "funnel_errors": 6})],
    )


def _around_tab() -> Tab:
    return Tab(
        title=Text(ko="전후 경로", en="Before and after"),
        rows=[
            Row(height=70, charts={"around": 12}),
            Row(height=50, charts={"around_before": 6, "around_after": 6}),
        ],
    )


def _between_tab() -> Tab:
    return Tab(
        title=Text(ko="사이 경로", en="Paths between"),
        rows=[Row(height=16, charts={"between_numbers": 12}), Row(height=90, charts={"between_ways_table": 12})],
    )


def _help_tab(pack: Pack, dashboards: Mapping[str, Dashboard]) -> Tab:
    """The pack in words: what it looks at, how that is read, and who answers for it."""
    used = {"funnels": pack.funnel, "around_paths": pack.anchors, "between_paths": pack.between}
    shared = [tab.help for name, part in used.items() if part and name in dashboards for tab in dashboards[name].tabs]

    def text(locale: Literal["ko", "en"], owner: str) -> str:
        title, description = (getattr(of, locale) for of in (pack.label, pack.description))
        last = f"{owner}: {pack.owner} · definitions/packs.yml, {pack.id}"
        return "\n\n".join([f"## {title}\n{description}", *(part.get(locale).strip() for part in shared if part), last])

    return Tab(title=Text(ko="도움말", en="Help"), help=Text(ko=text("ko", "담당 부서"), en=text("en", "Owner")))

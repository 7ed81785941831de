"""From integer-coded rows to landing lines: NDJSON, CSV and Arrow tables for Parquet.

Columns whose values repeat are looked up: one `Lookup` holds the values of one or more columns for each code. For
text formats a lookup also holds, ready made, the piece of line for each code, so that a line is a join of a dozen
pieces and a million lines take seconds.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from journeymart.sample import simulate
from journeymart.sample.arrival import break_json, break_record
from journeymart.sample.pages import (
    ACTIONS,
    APP,
    CHECKBOXES,
    CLICK,
    CLICK_TEXTS,
    DEVICE_KINDS,
    ERROR,
    EXIT,
    EXIT_MENUS,
    INPUT,
    INPUT_FIELDS,
    POPUP,
    POPUPS,
    SELECT,
    SUBMIT,
    TAB,
    TABS,
    VARIANTS,
    VIEW,
    Page,
    Site,
)
from journeymart.sample.population import BOT_PROFILES, PROFILES, Population
from journeymart.sample.simulate import CAMPAIGN_COUNT, DAY, ERROR_CODES, REFERRERS, Rows

Value = str | int | None
CHUNK: Final = 100_000
"""Rows rendered at a time: keeps memory flat and Arrow's 32-bit offsets far away."""
IDS: Final = 1000
ZONE: Final = "Asia/Seoul"
ZONE_OFFSET: Final = 9 * simulate.HOUR
_HEX: Final = np.frombuffer("".join(f"{i:02x}" for i in range(256)).encode(), np.uint8).reshape(256, 2)
_UUID_DASHES: Final = (8, 13, 18, 23)
_UTM_SOURCES: Final = (("naver", "cpc"), ("google", "cpc"), ("kakao", "social"), ("instagram", "social"))
_UTM_SOURCES_OWN: Final = (("newsletter", "email"), ("lms", "sms"), ("app", "push"), ("partner", "affiliate"))
_PROPERTIES: Final = (
    None,
    '{"network":"wifi"}',
    '{"network":"5g","battery":"low"}',
    '{"ab_test":{"name":"home_banner","variant":"B"}}',
    '{"screen":"412x915","dark_mode":true}',
)
_PROPERTIES_EVERY: Final = 25


class Lookup:
    """Values of one or more columns, by code.

    Args:
        columns: column name → value per code; all of one length.
        raw_json: columns whose text is JSON already and goes into NDJSON as an object.
    """

    def __init__(self, columns: dict[str, Sequence[Value]], raw_json: frozenset[str] = frozenset()) -> None:
        """Keep the values; pieces of line are made when first asked for."""
        self.columns = columns
        self._raw_json = raw_json
        self._pieces: dict[str, pa.Array] = {}
        self._arrays: dict[str, pa.Array] = {}

    def pieces(self, style: str, codes: npt.NDArray[Any]) -> pa.Array:
        """Piece of line for each code: `,"name":value` for NDJSON (nothing for null), `,value` for CSV."""
        if style not in self._pieces:
            render = self._json_piece if style == "ndjson" else self._csv_piece
            self._pieces[style] = pa.array([render(values) for values in zip(*self.columns.values(), strict=True)])
        return self._pieces[style].take(pa.array(codes))

    def arrays(self, codes: npt.NDArray[Any]) -> dict[str, pa.Array]:
        """Column name → values for the codes."""
        if not self._arrays:
            self._arrays = {
                name: pa.array(values, pa.int32() if name == "step_position" else pa.string())
                for name, values in self.columns.items()
            }
        taken = pa.array(codes)
        return {name: values.take(taken) for name, values in self._arrays.items()}

    def _json_piece(self, values: tuple[Value, ...]) -> str:
        return "".join(
            f',"{name}":{value if name in self._raw_json else json.dumps(value, ensure_ascii=False)}'
            for name, value in zip(self.columns, values, strict=True)
            if value is not None
        )

    @staticmethod
    def _csv_piece(values: tuple[Value, ...]) -> str:
        return "".join("," if value is None else "," + csv_text(str(value)) for value in values)


class Renderer:
    """Turns rows of one bank into lines."""

    def __init__(self, people: Population, site: Site) -> None:
        """Prepare the lookups; nothing here depends on the day."""
        self.people, self.site = people, site
        self._salt = np.uint64(people.seed)
        self._midnight = np.datetime64(people.start.isoformat(), "ms")
        self._lookups = {
            "visitor": _visitor_lookup(people),
            "customer": Lookup({"customer_id": [None, *people.customer_ids]}),
            "page": _page_lookup(site),
            "action": _action_lookup(site),
            "referrer": _referrer_lookup(site),
            "utm": _utm_lookup(),
            "error": Lookup({"error_code": ERROR_CODES}),
            "properties": Lookup({"properties": _PROPERTIES}, frozenset({"properties"})),
        }
        self._urls = _url_parts(site)
        self._id_texts = pa.array(["", *(str(10_000 + i * 7) for i in range(IDS))])
        self._queries = pa.array(["", "?menuId=M012&_t=1751", *(_utm_query(i) for i in range(1, CAMPAIGN_COUNT + 1))])

    # -- formats ---------------------------------------------------------------------------------------------------

    @property
    def csv_header(self) -> str:
        """The header line of a CSV file, with its end."""
        names = ["event_id", "event_time", "received_time", "session_id", "page_url"]
        return ",".join([*names, *(name for lookup in self._lookups.values() for name in lookup.columns)]) + "\n"

    def lines(self, rows: Rows, style: str) -> list[bytes | memoryview]:
        """Text of `rows` (at most `CHUNK`) in `style` ``ndjson`` or ``csv`` as pieces to write one after the other."""
        json_style = style == "ndjson"
        head = self._head(rows, json_style)
        tag = _fixed_text(_hex(_mix(rows["tag_session"] ^ self._salt)))
        has_tag = pa.array(rows["tag_session"] > 0)
        opening = ',"session_id":"' if json_style else ","
        closing = '"' if json_style else ""
        session = pc.if_else(
            has_tag,
            pc.binary_join_element_wise(opening, tag, closing, ""),
            "" if json_style else ",",
        )
        url = self._url(rows, ',"page_url":"', '"', "") if json_style else self._url(rows, ',"', '"', ",")
        codes = self._codes(rows)
        pieces = [lookup.pieces(style, codes[name]) for name, lookup in self._lookups.items()]
        text = pc.binary_join_element_wise(head, session, url, *pieces, "}\n" if json_style else "\n", "")
        return self._splice(text, rows, style)

    def table(self, rows: Rows) -> pa.Table:
        """Return `rows` as an Arrow table; times are timestamps in the bank's zone, properties JSON text."""
        codes = self._codes(rows)
        utc = self._midnight.astype("int64") - ZONE_OFFSET
        columns = {
            "event_id": _fixed_text(_uuid(rows["event_no"], self._salt)),
            "event_time": pa.array(rows["ts"] + utc).cast(pa.timestamp("ms", ZONE)),
            "received_time": pa.array(rows["received"] + utc).cast(pa.timestamp("ms", ZONE)),
            "session_id": pc.if_else(
                pa.array(rows["tag_session"] > 0), _fixed_text(_hex(_mix(rows["tag_session"] ^ self._salt))), None
            ),
            "page_url": self._url(rows, "", "", None),
        }
        for name, lookup in self._lookups.items():
            columns.update(lookup.arrays(codes[name]))
        table = pa.table(columns)
        spots = np.flatnonzero(rows["broken"])
        if len(spots):
            records = table.take(pa.array(spots)).to_pylist()
            pieces, done = [], 0
            for spot, record in zip(spots.tolist(), records, strict=True):
                broken = break_record(record, *_flaw(rows[spot]))
                pieces += [table.slice(done, spot - done), pa.Table.from_pylist([broken], schema=table.schema)]
                done = spot + 1
            table = pa.concat_tables([*pieces, table.slice(done)]).combine_chunks()
        return table

    # -- pieces ----------------------------------------------------------------------------------------------------

    def _codes(self, rows: Rows) -> dict[str, npt.NDArray[Any]]:
        """Code per lookup and row."""
        page, action = rows["page"].astype(np.int32), rows["action"].astype(np.int32)
        variant = rows["misc"].astype(np.int32) % VARIANTS
        spoken = (page * len(ACTIONS) + action) * VARIANTS + variant
        # The last code says nothing: the tag left out an action that is a view anyway.
        silent = ~rows["tagged"] & (rows["action"] == VIEW)
        misc = rows["misc"].astype(np.int32)
        return {
            "visitor": rows["visitor"],
            "customer": rows["customer"] + 1,
            "page": page * DEVICE_KINDS + rows["kind"],
            "action": np.where(silent, len(self.site) * len(ACTIONS) * VARIANTS, spoken),
            "referrer": rows["referrer"],
            "utm": rows["utm"],
            "error": rows["error"],
            "properties": np.where(misc % _PROPERTIES_EVERY < len(_PROPERTIES), misc % _PROPERTIES_EVERY, 0),
        }

    def _head(self, rows: Rows, json_style: bool) -> pa.Array:
        ids = _uuid(rows["event_no"], self._salt)
        happened, received = self._times(rows["ts"]), self._times(rows["received"])
        marks = ('{"event_id":"', '","event_time":"', '","received_time":"', '"') if json_style else ("", ",", ",", "")
        columns = []
        for mark, cells in zip(marks, (ids, happened, received, None), strict=True):
            columns.append(np.broadcast_to(np.frombuffer(mark.encode(), np.uint8), (len(rows), len(mark))))
            if cells is not None:
                columns.append(cells)
        return _fixed_text(np.concatenate(columns, axis=1))

    def _times(self, milliseconds: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """ISO 8601 text (n, 29) with the offset of the bank's zone."""
        days, of_day = np.divmod(milliseconds, DAY)
        first, last = int(days.min()), int(days.max())
        start = self.people.start
        dates = np.array(
            [list((start + dt.timedelta(days=d)).isoformat().encode()) for d in range(first, last + 1)], np.uint8
        )
        out = np.empty((len(days), 29), np.uint8)
        out[:, :10] = dates[days - first]
        out[:, 10:] = np.frombuffer(b"T00:00:00.000+09:00", np.uint8)
        seconds, millis = np.divmod(of_day.astype(np.int32), 1000)
        parts = ((11, seconds // 3600, 2), (14, seconds // 60 % 60, 2), (17, seconds % 60, 2), (20, millis, 3))
        for at, number, width in parts:
            for place in range(width):
                out[:, at + place] += (number // 10 ** (width - 1 - place) % 10).astype(np.uint8)
        return out

    def _url(self, rows: Rows, opening: str, closing: str, null: str | None) -> pa.Array:
        code = pa.array(rows["page"].astype(np.int32) * DEVICE_KINDS + rows["kind"])
        has_id = self._urls["has_id"][rows["page"]]
        ids = self._id_texts.take(pa.array(np.where(has_id, rows["misc"].astype(np.int32) + 1, 0)))
        query = np.where(rows["query"] == 2, rows["utm"] + 1, rows["query"])  # noqa: PLR2004 - 2: the campaign's own
        url = pc.binary_join_element_wise(
            opening,
            self._urls["prefix"].take(code),
            ids,
            self._urls["suffix"].take(code),
            self._queries.take(pa.array(query)),
            closing,
            "",
        )
        # App screens with a code have no URL.
        hidden = (rows["kind"] == APP) & self._urls["coded"][rows["page"]]
        return pc.if_else(pa.array(hidden), pa.scalar(null, pa.string()), url)

    def _splice(self, text: pa.Array, rows: Rows, style: str) -> list[bytes | memoryview]:
        """Cut the joined lines out of Arrow's buffer, with the broken lines put in."""
        offsets = np.frombuffer(text.buffers()[1], np.int32, len(text) + 1, text.offset * 4)
        data = memoryview(text.buffers()[2])
        pieces: list[bytes | memoryview] = []
        done = int(offsets[0])
        for spot in np.flatnonzero(rows["broken"]).tolist():
            begin, end = int(offsets[spot]), int(offsets[spot + 1])
            line = bytes(data[begin : end - 1]).decode()
            defect, salt = _flaw(rows[spot])
            broken = break_json(line, defect, salt) if style == "ndjson" else self._break_csv(line, defect, salt)
            pieces += [data[done:begin], broken.encode() + b"\n"]
            done = end
        return [*pieces, data[done : int(offsets[-1])]]

    def _break_csv(self, line: str, defect: int, salt: int) -> str:
        names = self.csv_header.strip().split(",")
        record = dict(zip(names, next(csv.reader(io.StringIO(line))), strict=True))
        values = break_record(record, defect, salt).values()
        return ",".join("" if value in (None, "") else csv_text(value) for value in values)


def _flaw(row: np.void) -> tuple[int, int]:
    """Return how a row is broken, and a number of its own that chooses among several ways to do it."""
    return int(row["broken"]), int(row["event_no"]) & 0xFFFF


def tag_session_text(seed: int, number: int) -> str:
    """Return the tag's session id as the clickstream shows it."""
    return bytes(_hex(_mix(np.array([number], np.uint64) ^ np.uint64(seed)))[0]).decode()


def csv_text(value: str) -> str:
    """Quote one CSV value."""
    return '"' + value.replace('"', '""') + '"'


# -- numbers to text ---------------------------------------------------------------------------------------------


def _mix(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scatter numbers over 64 bits, one to one (the finaliser of splitmix64)."""
    z = numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _hex(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Hexadecimal text (n, 16)."""
    return _HEX[numbers.astype(">u8").view(np.uint8).reshape(-1, 8)].reshape(-1, 16)


def _uuid(numbers: npt.NDArray[np.uint64], salt: np.uint64) -> npt.NDArray[np.uint8]:
    """Text (n, 36) in the form of a version 4 UUID, different for different numbers."""
    low = _mix(numbers ^ (salt << np.uint64(48)))
    digits = np.concatenate([_hex(low), _hex(_mix(low ^ np.uint64(0xA5A5A5A5A5A5A5A5)))], axis=1)
    out = np.empty((len(numbers), 36), np.uint8)
    keep = np.ones(36, bool)
    keep[list(_UUID_DASHES)] = False
    out[:, ~keep] = ord("-")
    out[:, keep] = digits
    out[:, 14] = ord("4")
    out[:, 19] = np.frombuffer(b"89ab", np.uint8)[digits[:, 16] % 4]
    return out


def _fixed_text(cells: npt.NDArray[np.uint8]) -> pa.Array:
    """Arrow strings from a matrix of characters."""
    n, width = cells.shape
    offsets = np.arange(0, (n + 1) * width, width, dtype=np.int32)
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(cells)))


# -- lookups -----------------------------------------------------------------------------------------------------


def _visitor_lookup(people: Population) -> Lookup:
    profiles = [(PROFILES + BOT_PROFILES)[p] for p in people.profile.tolist()]
    # Some old web tags do not send the channel: it defaults to web.
    channels = [None if i % 50 == 0 and profile.kind != APP else profile.channel for i, profile in enumerate(profiles)]
    return Lookup(
        {
            "visitor_id": people.visitor_ids,
            "channel": channels,
            "ip": people.ips,
            "user_agent": [profile.user_agent for profile in profiles],
            "os": [profile.os for profile in profiles],
            "device_type": [profile.device_type for profile in profiles],
            "device_model": [profile.model for profile in profiles],
            "app_version": [profile.app_version for profile in profiles],
        }
    )


def _page_lookup(site: Site) -> Lookup:
    pages = [(page, kind) for page in site.pages for kind in range(DEVICE_KINDS)]
    return Lookup(
        {
            "domain": [page.domain(kind) for page, kind in pages],
            "page_code": [page.code for page, _ in pages],
            "page_name": [page.name if page.code else None for page, _ in pages],
            "step_position": [page.step for page, _ in pages],
        }
    )


_DETAILS: Final = (
    "action_type",
    "click_text",
    "click_name",
    "checkbox",
    "popup_name",
    "tab_name",
    "error_page",
    "exit_menu",
)


def _action_lookup(site: Site) -> Lookup:
    rows = [
        _details(page, action, variant)
        for page in site.pages
        for action in range(len(ACTIONS))
        for variant in range(VARIANTS)
    ]
    rows.append({})
    return Lookup({name: [row.get(name) for row in rows] for name in _DETAILS})


def _details(page: Page, action: int, variant: int) -> dict[str, str | None]:
    key = page.code or page.path
    found: dict[str, str | None] = {"action_type": ACTIONS[action]}
    if action == CLICK:
        kind = "form" if page.form else "done" if page.done else "login" if page.section == "LGN" else "content"
        found |= {"click_text": CLICK_TEXTS[kind][variant], "click_name": f"btn_{kind}_{variant + 1}"}
    elif action == SELECT:
        found |= {"checkbox": CHECKBOXES[variant], "click_name": f"chk_{variant + 1}"}
    elif action == INPUT:
        found |= {"click_name": f"inp_{variant + 1}", "click_text": INPUT_FIELDS[variant]}
    elif action == SUBMIT:
        found |= {"click_text": "확인" if page.section != "TRF" else "이체하기", "click_name": "btn_submit"}
    elif action == POPUP:
        found |= {"popup_name": POPUPS[variant]}
    elif action == TAB:
        found |= {"tab_name": TABS[variant]}
    elif action == ERROR:
        found |= {"error_page": key}
    elif action == EXIT:
        found |= {"exit_menu": EXIT_MENUS[variant]}
    return found


def _referrer_lookup(site: Site) -> Lookup:
    before = [
        f"https://{page.domain(kind)}{page.path.replace('{id}', '10007')}"
        for kind in range(DEVICE_KINDS)
        for page in site.pages
    ]
    return Lookup({"referrer_url": [*REFERRERS, *before]})


def _campaign(i: int) -> dict[str, str | None]:
    """UTM values of campaign `i` (1…)."""
    sources = _UTM_SOURCES + _UTM_SOURCES_OWN
    source, medium = sources[i % len(sources)]
    paid = medium == "cpc"
    return {
        "utm_source": source,
        "utm_medium": medium,
        "utm_campaign": f"2026_summer_{i:02d}",
        "utm_term": "해외송금 수수료" if paid and i % 2 else "주식 계좌" if paid else None,
        "utm_content": f"banner_{'AB'[i % 2]}" if i % 3 else None,
    }


def _utm_lookup() -> Lookup:
    rows = [dict.fromkeys(_campaign(1)), *(_campaign(i) for i in range(1, CAMPAIGN_COUNT + 1))]
    return Lookup({name: [row[name] for row in rows] for name in rows[0]})


def _utm_query(i: int) -> str:
    values = _campaign(i)
    return "?" + "&".join(f"{name}={values[name]}" for name in ("utm_source", "utm_medium", "utm_campaign"))


def _url_parts(site: Site) -> dict[str, Any]:
    prefixes, suffixes = [], []
    for page in site.pages:
        before, _, after = page.path.partition("{id}")
        prefixes += [f"https://{page.domain(kind)}{before}" for kind in range(DEVICE_KINDS)]
        suffixes += [after] * DEVICE_KINDS
    return {
        "prefix": pa.array(prefixes),
        "suffix": pa.array(suffixes),
        "has_id": np.array(["{id}" in page.path for page in site.pages]),
        "coded": np.array([page.code is not None for page in site.pages]),
    }

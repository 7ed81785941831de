"""The planted truths, counted from the landed rows themselves.

Nothing here uses the pipeline or SQL: numbers come from numpy and plain Python over the rows as they were written, so
that they can serve as an oracle. `KEYS` says what every key means and is written into truth.json.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter as Tally
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from journeymart.sample.arrival import DEFECTS, is_late
from journeymart.sample.banking import INTENT_USD, TRANSACTION_DEFECTS, Line
from journeymart.sample.pages import FLOWS, INPUT, PROPENSITIES, VIEW, Site
from journeymart.sample.population import BROKEN_APP_VERSION, Population
from journeymart.sample.simulate import ACO_ERROR, ACO_ERROR_PAGE, DAY, ERROR_CODES, MINUTE, TIMEOUT, Rows

FUNNEL_WINDOW_DAYS: Final = 14
INTENT_MINUTES: Final = 30
LATER_FOLDER: Final = 2
TASTE_PAGES: Final = ("STK010", "STK020", "ORD010", "FND010", "DEP010", "DEP020")
COUNTS: Final = ("lines", "broken", "valid", "duplicate", "bot", "events", "late")

PLAIN_SOURCES: Final = ("consultations", "campaign_sends", "subscriptions", "survey_responses", "consents")

KEYS: Final = {
    "parameters": "what the bank was made with; the same parameters give the same bytes",
    "files": "per landed file, in the order folder date, name: lines = broken + duplicate + bot + events; "
    "valid = lines - broken; a line is duplicate when an earlier line (in this order) has its id; bot counts first "
    "copies by crawlers; late counts valid lines received an hour or more after they happened",
    "clickstream.totals": "the same counts over all clickstream files; accepted = bot + events (distinct event ids)",
    "clickstream.by_folder_date": "the same counts per folder",
    "clickstream.events_by_date": "events (accepted, no bots) per local date on which they happened",
    "clickstream.duplicates": "re-sent lines, by whether they came in the same folder as the original or a later one",
    "clickstream.late_files": "files that hold events of an earlier day only",
    "broken_lines": "line counts physical lines from 1 (a CSV header or the leader of a message file is line 1), "
    "record counts data rows from 1; "
    "reason: malformed, missing_required, bad_time, bad_number, unknown_value",
    "bots": "crawlers by user agent: visitor ids and accepted events",
    "sessions": "events cut per visitor where more than 30 minutes pass; exactly 30 minutes do not cut; date is the "
    "local date of the first event; exact_timeout_gaps were planted on the edge",
    "account_opening.funnel": "persons (customers; every event of it is logged in) who view the screens in order "
    "within 14 days of the first; first_entry starts at a person's first view, best at whichever view gets furthest; "
    "one count per step",
    "account_opening.planted_error": "sessions that view the step on which app version 5.2.0 fails, and how many of "
    "them view the last step, by app version and by whether the error was seen",
    "propensity": "sessions with a customer, and how many of them view a screen; customer and propensity as of the "
    "session's last logged-in event",
    "remittance_intent": "customers with the screen 해외송금 정보입력 followed within 30 minutes, end included, by an "
    "FX_REMIT of 10,000 USD or more: by_view any view of it, by_input an input on it, by_input_successful with "
    "result_code 0000",
    "shared_devices": "visitors used by more than one customer",
    "transactions": "lines = broken + duplicate + accepted; amounts per currency of accepted ones (no currency: KRW)",
    "customers": "rows per file; later files hold the customers whose attributes changed",
    "consultations": "rows; so for campaign_sends, subscriptions, survey_responses and consents",
}

_EVENT: Final = np.dtype(
    [
        ("visitor", "i4"),
        ("ts", "i8"),
        ("customer", "i4"),
        ("page", "i2"),
        ("action", "i1"),
        ("error", "i1"),
        ("propensity", "i1"),
    ]
)


class TruthBook:
    """Collects the landed rows file by file and computes the truths at the end."""

    def __init__(self, people: Population, site: Site, parameters: dict[str, Any]) -> None:
        """Start with no files."""
        self.people, self.site, self.parameters = people, site, parameters
        self.files: list[dict[str, Any]] = []
        self.broken: list[dict[str, Any]] = []
        self._parts: list[npt.NDArray[Any]] = []
        self._propensities: list[tuple[int, npt.NDArray[np.int32]]] = [(0, people.propensity.copy())]
        self._changed: dict[str, list[str]] = {}
        self._bots: Tally[int] = Tally()
        self._duplicates = Tally({"same_folder": 0, "later_folder": 0})
        self._transactions: dict[str, tuple[int, dict[str, Any]]] = {}
        self._late_files: list[str] = []
        self._rows: Tally[str] = Tally()

    # -- collecting ------------------------------------------------------------------------------------------------

    def change(self, day: int, changed: npt.NDArray[Any]) -> None:
        """Note that customers have new attributes from `day` on."""
        self._propensities.append(((day - 1) * DAY, self.people.propensity.copy()))
        self._changed[self._date(day)] = [self.people.customer_ids[c] for c in changed.tolist()]

    def clickstream(self, path: str, day: int, rows: Rows) -> None:
        """Count one file of events, in the order of its lines."""
        broken, bot = rows["broken"] > 0, rows["is_bot"]
        first = ~broken & (rows["duplicate"] == 0)
        for record in np.flatnonzero(broken).tolist():
            defect = DEFECTS[rows["broken"][record]]
            self._note_broken(path, record, defect.reason, defect.field)
        self._add_file(
            "clickstream",
            path,
            day,
            lines=len(rows),
            broken=int(broken.sum()),
            duplicate=int(((rows["duplicate"] > 0) & ~broken).sum()),
            bot=int((first & bot).sum()),
            late=int((is_late(rows) & ~broken).sum()),
        )
        if rows["late_file"].any():
            self._late_files.append(path)
        self._bots.update(rows["visitor"][first & bot].tolist())
        self._duplicates["same_folder"] += int((rows["duplicate"] == 1).sum())
        self._duplicates["later_folder"] += int((rows["duplicate"] == LATER_FOLDER).sum())
        kept = rows[first & ~bot]
        part = np.empty(len(kept), _EVENT)
        for name in ("visitor", "ts", "customer", "page", "action", "error"):
            part[name] = kept[name]
        known = np.maximum(kept["customer"], 0)
        for since, propensity in self._propensities:
            now = kept["ts"] >= since
            part["propensity"][now] = propensity[known[now]]
        self._parts.append(part)

    def transactions(self, path: str, day: int, lines: list[Line]) -> None:
        """Count one file of transactions."""
        for record, line in enumerate(lines):
            if line.defect is not None:
                self._note_broken(path, record, *TRANSACTION_DEFECTS[line.defect])
            elif not line.duplicate:
                self._transactions[line.record["transaction_id"]] = (
                    self._local(line.record["transaction_time"]),
                    line.record,
                )
        self._add_file(
            "transactions",
            path,
            day,
            lines=len(lines),
            broken=sum(line.defect is not None for line in lines),
            duplicate=sum(line.duplicate for line in lines),
            bot=0,
            late=0,
        )

    def other(self, source: str, path: str, day: int, rows: int) -> None:
        """Count one file of another source, all of whose lines are sound."""
        self._rows[source] += rows
        self._add_file(source, path, day, lines=rows, broken=0, duplicate=0, bot=0, late=0)

    # -- computing -------------------------------------------------------------------------------------------------

    def result(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        events = np.concatenate([np.empty(0, _EVENT), *self._parts])
        self._parts.clear()
        events = events[np.argsort((events["visitor"].astype(np.int64) << 40) + events["ts"], kind="stable")]
        new_visitor = np.append(True, events["visitor"][1:] != events["visitor"][:-1])[: len(events)]
        gap = np.append(0, np.diff(events["ts"]))[: len(events)]
        session = np.cumsum(new_visitor | (gap > TIMEOUT)) - 1
        return {
            "keys": KEYS,
            "parameters": self.parameters,
            "clickstream": self._clickstream(events),
            "sessions": self._sessions(events, session, int((~new_visitor & (gap == TIMEOUT)).sum())),
            "account_opening": {
                "steps": list(FLOWS["account_opening"]),
                "window_days": FUNNEL_WINDOW_DAYS,
                "funnel": self._funnel(events),
                "planted_error": self._planted_error(events, session),
            },
            "propensity": self._propensity(events, session),
            "remittance_intent": self._remittance(events),
            "shared_devices": self._shared(events),
            "bots": self._crawlers(),
            "transactions": self._booked(),
            "customers": {
                "customers": self.people.customers,
                "rows": self._rows["customers"],
                "changed": self._changed,
            },
            **{source: {"rows": self._rows[source]} for source in PLAIN_SOURCES},
            "files": self.files,
            "broken_lines": self.broken,
        }

    def _clickstream(self, events: npt.NDArray[Any]) -> dict[str, Any]:
        files = [file for file in self.files if file["source"] == "clickstream"]
        by_folder: dict[str, dict[str, int]] = {}
        for file in files:
            counts = by_folder.setdefault(file["date"], dict.fromkeys(COUNTS, 0))
            for name in COUNTS:
                counts[name] += file[name]
        totals = {name: sum(file[name] for file in files) for name in COUNTS}
        return {
            "totals": totals | {"accepted": totals["bot"] + totals["events"]},
            "by_folder_date": by_folder,
            "events_by_date": self._per_day(events["ts"]),
            "duplicates": dict(self._duplicates),
            "late_files": self._late_files,
        }

    def _sessions(self, events: npt.NDArray[Any], session: npt.NDArray[np.int64], edge_gaps: int) -> dict[str, Any]:
        sizes = np.bincount(session) if len(session) else np.empty(0, np.int64)
        starts = events["ts"][np.searchsorted(session, np.arange(len(sizes)))]
        return {
            "timeout_minutes": TIMEOUT // MINUTE,
            "total": len(sizes),
            "single_event": int((sizes == 1).sum()),
            "by_date": self._per_day(starts),
            "exact_timeout_gaps": edge_gaps,
        }

    def _funnel(self, events: npt.NDArray[Any]) -> dict[str, Any]:
        steps = [self.site.index[code] for code in FLOWS["account_opening"]]
        views = events[(events["action"] == VIEW) & np.isin(events["page"], steps)]
        people: dict[int, list[tuple[int, int]]] = {}
        for view in np.sort(views, order=["customer", "ts"]):
            people.setdefault(int(view["customer"]), []).append((int(view["ts"]), steps.index(int(view["page"]))))
        first, best = [0] * len(steps), [0] * len(steps)
        for seen in people.values():
            entries = [ts for ts, step in seen if step == 0]
            reached = [_reach(seen, entry) for entry in entries]
            for counts, reach in ((first, reached[:1]), (best, [max(reached)] if reached else [])):
                for step in range(reach[0] if reach else 0):
                    counts[step] += 1
        return {"first_entry": first, "best": best}

    def _planted_error(self, events: npt.NDArray[Any], session: npt.NDArray[np.int64]) -> dict[str, Any]:
        at_step = self._viewed(events, session, ACO_ERROR_PAGE)
        finished = self._viewed(events, session, FLOWS["account_opening"][-1])
        failed = set(session[events["error"] == ACO_ERROR].tolist())
        here = events["page"] == self.site.index[ACO_ERROR_PAGE]
        visitor_of = dict(zip(session[here].tolist(), events["visitor"][here].tolist(), strict=True))
        by_version: dict[str, Tally[str]] = {}
        for s in at_step:
            version = self.people.profile_of(visitor_of[s]).app_version or "web"
            by_version.setdefault(version, Tally(sessions=0, failed=0, finished=0)).update(
                sessions=1, failed=int(s in failed), finished=int(s in finished)
            )
        with_error, without = at_step & failed, at_step - failed
        return {
            "page_code": ACO_ERROR_PAGE,
            "error_code": ERROR_CODES[ACO_ERROR],
            "app_version": BROKEN_APP_VERSION,
            "by_app_version": {version: dict(by_version[version]) for version in sorted(by_version)},
            "with_error": {"sessions": len(with_error), "finished": len(with_error & finished)},
            "without_error": {"sessions": len(without), "finished": len(without & finished)},
        }

    def _propensity(self, events: npt.NDArray[Any], session: npt.NDArray[np.int64]) -> dict[str, Any]:
        known = events["customer"] >= 0
        # Later events overwrite earlier ones: the last logged-in event decides.
        taste = np.full(int(session[-1]) + 1 if len(session) else 0, -1, np.int8)
        taste[session[known]] = events["propensity"][known]
        viewed = {code: np.array(sorted(self._viewed(events, session, code)), np.int64) for code in TASTE_PAGES}
        return {
            name: {
                "sessions": int((taste == g).sum()),
                "sessions_viewing": {code: int((taste[seen] == g).sum()) for code, seen in viewed.items()},
            }
            for g, name in enumerate(PROPENSITIES)
        }

    def _remittance(self, events: npt.NDArray[Any]) -> dict[str, Any]:
        at_form = events[(events["page"] == self.site.index["FXR010"]) & (events["customer"] >= 0)]
        entered: dict[str, dict[str, list[int]]] = {"by_view": {}, "by_input": {}}
        for name, action in (("by_view", VIEW), ("by_input", INPUT)):
            for event in at_form[at_form["action"] == action]:
                entered[name].setdefault(self.people.customer_ids[event["customer"]], []).append(int(event["ts"]))
        found: dict[str, set[str]] = {"by_view": set(), "by_input": set(), "by_input_successful": set()}
        for ts, record in self._transactions.values():
            if record["transaction_code"] != "FX_REMIT" or record["currency"] != "USD" or record["amount"] < INTENT_USD:
                continue
            customer = record["customer_id"]
            for name, times in entered.items():
                if any(0 <= ts - before <= INTENT_MINUTES * MINUTE for before in times.get(customer, ())):
                    found[name].add(customer)
                    if name == "by_input" and record["result_code"] == "0000":
                        found["by_input_successful"].add(customer)
        return {
            "page_code": "FXR010",
            "minutes": INTENT_MINUTES,
            "amount_usd": INTENT_USD,
            **{name: sorted(customers) for name, customers in found.items()},
        }

    def _shared(self, events: npt.NDArray[Any]) -> list[dict[str, Any]]:
        known = events[events["customer"] >= 0]
        users: dict[int, set[int]] = {}
        pairs = np.unique((known["visitor"].astype(np.int64) << 32) + known["customer"])
        for pair in pairs.tolist():
            users.setdefault(pair >> 32, set()).add(pair & 0xFFFFFFFF)
        return [
            {
                "visitor_id": self.people.visitor_ids[visitor],
                "customer_ids": sorted(self.people.customer_ids[c] for c in customers),
            }
            for visitor, customers in users.items()
            if len(customers) > 1
        ]

    def _crawlers(self) -> dict[str, Any]:
        agents: dict[str, dict[str, Any]] = {}
        for visitor, count in sorted(self._bots.items()):
            agent = agents.setdefault(self.people.profile_of(visitor).user_agent, {"visitors": [], "events": 0})
            agent["visitors"].append(self.people.visitor_ids[visitor])
            agent["events"] += count
        return {"events": self._bots.total(), "by_user_agent": agents}

    def _booked(self) -> dict[str, Any]:
        records = [record for _, record in self._transactions.values()]
        amounts: dict[str, Decimal] = {}
        for record in records:
            if "amount" in record:
                currency = record.get("currency", "KRW")
                amounts[currency] = amounts.get(currency, Decimal(0)) + Decimal(str(record["amount"]))
        files = [file for file in self.files if file["source"] == "transactions"]
        return {
            **{name: sum(file[name] for file in files) for name in ("lines", "broken", "duplicate")},
            "accepted": len(records),
            "amount_by_currency": {currency: str(amounts[currency]) for currency in sorted(amounts)},
            "by_code": dict(sorted(Tally(record["transaction_code"] for record in records).items())),
            "by_channel": dict(sorted(Tally(record["channel"] for record in records).items())),
            "by_date": self._per_day(np.array([ts for ts, _ in self._transactions.values()], np.int64)),
        }

    # -- helpers ---------------------------------------------------------------------------------------------------

    def _viewed(self, events: npt.NDArray[Any], session: npt.NDArray[np.int64], code: str) -> set[int]:
        hit = (events["page"] == self.site.index[code]) & (events["action"] == VIEW)
        return set(np.unique(session[hit]).tolist())

    def _add_file(self, source: str, path: str, day: int, **counts: int) -> None:
        valid = counts["lines"] - counts["broken"]
        counts |= {"valid": valid, "events": valid - counts["duplicate"] - counts["bot"]}
        self.files.append({"source": source, "date": self._date(day), "path": path} | {n: counts[n] for n in COUNTS})

    def _note_broken(self, path: str, record: int, reason: str, field: str | None) -> None:
        header = 1 if ".csv" in path or ".dat" in path else 0
        self.broken.append(
            {"path": path, "line": record + 1 + header, "record": record + 1, "field": field, "reason": reason}
        )

    def _date(self, day: int) -> str:
        return (self.people.start + dt.timedelta(days=day - 1)).isoformat()

    def _per_day(self, times: npt.NDArray[np.int64]) -> dict[str, int]:
        days, counts = np.unique(times // DAY, return_counts=True)
        return {self._date(int(day) + 1): int(count) for day, count in zip(days, counts, strict=True)}

    def _local(self, text: str) -> int:
        midnight = dt.datetime.combine(self.people.start, dt.time())
        return (dt.datetime.fromisoformat(text).replace(tzinfo=None) - midnight) // dt.timedelta(milliseconds=1)


def _reach(seen: list[tuple[int, int]], entry: int) -> int:
    """How many steps are viewed in order from `entry`, a view of the first, each at its earliest, within the window."""
    reached = 0
    last = entry - 1
    for ts, step in seen:
        if ts < entry or ts - entry > FUNNEL_WINDOW_DAYS * DAY:
            continue
        if step == reached and ts > last:
            reached, last = reached + 1, ts
    return reached

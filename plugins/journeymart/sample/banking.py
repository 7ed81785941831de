"""What the core system, the call centre and the campaign system know: transactions, consultations, campaign sends."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from journeymart.sample.pages import APP, VIEW, Site
from journeymart.sample.population import Population
from journeymart.sample.render import tag_session_text
from journeymart.sample.simulate import ACO_ERROR, DAY, HOUR, MINUTE, SECOND, TIMEOUT, Done, Rows

Record = dict[str, Any]

INTENT_USD: Final = 10_000
CODE_OF_PAGE: Final = {
    "TRF030": "TRANSFER",
    "FXR030": "FX_REMIT",
    "ORD030": "STOCK_ORDER",
    "SEC030": "SEC_OUT",
    "ACO050": "ACCT_OPEN",
    "DEP040": "DEPOSIT",
    "ACC010": "INQUIRY",
}
COUNTER_SHARE: Final = 0.03
"""Transactions at branch, ATM or call centre per customer and day."""
REFUSED_SHARE: Final = 0.03
RESENT_SHARE: Final = 0.004
BROKEN_EVERY: Final = 400
TRANSACTION_DEFECTS: Final = (
    ("malformed", None),
    ("missing_required", "customer_id"),
    ("bad_time", "transaction_time"),
    ("bad_number", "amount"),
    ("unknown_value", "transaction_code"),
)
"""What lines can have wrong; the last only messages, whose code decides how they are read."""
_UNKNOWN_CODE: Final = 4
_STOCKS: Final = (("900110", 71_500), ("900250", 182_000), ("900310", 43_250), ("900420", 9_870), ("900505", 251_500))
_COUNTRIES: Final = {"USD": ("US", "VN", "SG"), "EUR": ("DE", "FR", "ES"), "JPY": ("JP",)}
_PURPOSES: Final = ("유학생 경비", "해외 체재비", "물품 대금", "증여성 송금")
_BROKERS: Final = ("한강증권", "남산투자증권", "태백증권")
CONSULTATION_SHARE: Final = 0.008
CALL_AFTER_ERROR: Final = 0.3
CAMPAIGN_EVERY_DAYS: Final = 3
CAMPAIGN_REACH: Final = 0.15
SUBSCRIPTION_SHARE: Final = 0.004
SURVEY_ANSWERED: Final = 0.5
SURVEY_EVERY_DAYS: Final = 30
CONSENT_SHARE: Final = 0.001
CONSENT_GRANTED: Final = 0.7
_PRODUCTS: Final = (
    ("CRD010", "한빛 체크카드"),
    ("DEP010", "한빛 정기예금"),
    ("FND010", "한빛 인덱스펀드"),
    ("SVC010", "이체 알림 서비스"),
    ("LON010", "한빛 마이너스통장"),
)
# By rule the page that was seen, the one that was not reached and the choices, as rules.yml and messages.yml ask.
_SURVEYS: Final = {
    "DR-FX-STUCK": ("FXR010", "FXR020", ("입력할 것이 많아서", "수수료를 알 수 없어서", "나중에 하려고")),
    "DR-ACO-DROP": ("ACO010", "ACO050", ("본인 확인이 되지 않아서", "오류가 나서", "필요한 것이 없어서")),
}
_CATEGORIES: Final = ("이체/송금", "계좌개설", "카드", "대출", "증권", "인증/로그인")
_TEAMS: Final = ("상담1팀", "상담2팀", "디지털상담팀")


@dataclass(frozen=True, slots=True)
class BankDay:
    """Contract records of one day, each beside the local milliseconds at which it happened (they decide its file)."""

    transactions: list[tuple[int, Record]]
    consultations: list[tuple[int, Record]]
    campaign_sends: list[tuple[int, Record]]
    subscriptions: list[tuple[int, Record]]
    survey_responses: list[tuple[int, Record]]
    consents: list[tuple[int, Record]]


class Bank:
    """Books what customers did, and what they did elsewhere."""

    def __init__(self, people: Population, site: Site) -> None:
        """Start before day 1."""
        self.people, self.site = people, site
        self._codes = {site.index[page]: code for page, code in CODE_OF_PAGE.items()}
        # A device used by two people belongs to both of them.
        self._owned = np.flatnonzero(people.owner >= 0)
        self._consents_to = np.zeros(people.customers, bool)
        self._asked = {rule: np.full(people.customers, -SURVEY_EVERY_DAYS) for rule in _SURVEYS}  # on which day
        self._midnight = dt.datetime.combine(people.start, dt.time(), dt.timezone(dt.timedelta(hours=9)))

    def day(self, number: int, done: Done, rows: Rows, busy_until: npt.NDArray[np.int64]) -> BankDay:
        """Return the records of day `number` (1…).

        Args:
            number: the day.
            done: forms completed in the sessions begun that day.
            rows: events of those sessions.
            busy_until: per visitor, the last event so far (local milliseconds).
        """
        rng = np.random.default_rng([self.people.seed, 6, number])
        online = [self._online(i, number, done, rng) for i in range(len(done.ts)) if int(done.page[i]) in self._codes]
        counter = self._counter(number, busy_until, rng)
        return BankDay(
            transactions=sorted([*online, *counter], key=lambda pair: (pair[0], pair[1]["transaction_id"])),
            consultations=self._consultations(number, rows, rng),
            campaign_sends=self._campaign_sends(number, rng),
            subscriptions=self._subscriptions(number),
            consents=self._consents(number),
            survey_responses=self._survey_responses(number, rows),
        )

    def time(self, milliseconds: int) -> str:
        """ISO 8601 text of local milliseconds."""
        return (self._midnight + dt.timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds")

    # -- transactions ----------------------------------------------------------------------------------------------

    def _online(self, i: int, number: int, done: Done, rng: np.random.Generator) -> tuple[int, Record]:
        code = self._codes[int(done.page[i])]
        visitor, session = int(done.visitor[i]), int(done.tag_session[i])
        planted = bool(done.planted[i])
        app = self.people.profile_of(visitor).kind == APP
        record = self._transaction(f"T{number:04d}-{i:07d}", int(done.ts[i]), int(done.customer[i]), code)
        record["channel"] = "app" if app else "web"
        self._fill(record, code, planted, rng)
        # The core system is told the device by most channels, not by all.
        if rng.random() < 0.8:  # noqa: PLR2004
            record["visitor_id"] = self.people.visitor_ids[visitor]
            if session:
                record["session_id"] = tag_session_text(self.people.seed, session)
        return int(done.ts[i]), record

    def _counter(
        self, number: int, busy_until: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> list[tuple[int, Record]]:
        """Transactions of customers who use none of their devices that day."""
        people, midnight = self.people, (number - 1) * DAY
        active = np.zeros(people.customers, bool)
        seen = busy_until[self._owned] > midnight - HOUR
        active[people.owner[self._owned[seen]]] = True
        second = people.second_owner[self._owned[seen]]
        active[second[second >= 0]] = True
        idle = np.flatnonzero(~active)
        count = min(rng.poisson(people.customers * COUNTER_SHARE), len(idle))
        found = []
        for i, customer in enumerate(rng.choice(idle, count, replace=False).tolist() if count else ()):
            channel = ("branch", "atm", "call")[rng.choice(3, p=(0.35, 0.45, 0.2))]
            if channel == "atm":
                code = ("WITHDRAW", "DEPOSIT", "INQUIRY")[rng.choice(3, p=(0.6, 0.25, 0.15))]
                ts = midnight + int(rng.integers(7 * HOUR, 23 * HOUR))
            else:
                codes = ("DEPOSIT", "WITHDRAW", "TRANSFER", "FX_REMIT", "ACCT_OPEN", "SEC_OUT")
                code = codes[rng.choice(6, p=(0.25, 0.25, 0.25, 0.12, 0.08, 0.05))]
                ts = midnight + int(rng.integers(9 * HOUR, 16 * HOUR))
            record = self._transaction(f"B{number:04d}-{i:07d}", ts, customer, code)
            record["channel"] = channel
            self._fill(record, code, False, rng)
            found.append((ts, record))
        return found

    def _transaction(self, key: str, ts: int, customer: int, code: str) -> Record:
        return {
            "transaction_id": key,
            "transaction_time": self.time(ts),
            "customer_id": self.people.customer_ids[customer],
            "transaction_code": code,
        }

    @staticmethod
    def _fill(record: Record, code: str, planted: bool, rng: np.random.Generator) -> None:
        """Add result, amount, currency and the items of the message body."""
        refused = not planted and rng.random() < REFUSED_SHARE
        record["result_code"] = "E201" if refused else "0000"
        won = int(np.exp(rng.normal(12.2, 1.3))) // 1000 * 1000 + 1000
        account = f"110-***-{rng.integers(0, 10**6):06d}"
        fields: Record = {"account_no": account}
        if code == "FX_REMIT":
            currency = "USD" if planted else ("USD", "EUR", "JPY")[rng.choice(3, p=(0.7, 0.18, 0.12))]
            amount = round(float(np.exp(rng.normal(8.6, 1.1))), 2)
            if planted:
                amount = float(INTENT_USD + 5_000)
            if currency == "JPY":
                amount = float(round(amount * 150))
            fields |= {
                "currency": currency,
                "beneficiary_country": str(rng.choice(_COUNTRIES[currency])),
                "purpose": str(rng.choice(_PURPOSES)),
                "fee_krw": 5000 + int(rng.integers(0, 4)) * 2500,
            }
            record |= {"amount": amount if amount % 1 else int(amount), "currency": currency}
        elif code == "STOCK_ORDER":
            stock, price = _STOCKS[rng.integers(0, len(_STOCKS))]
            quantity = int(rng.geometric(0.08))
            fields |= {
                "stock_code": stock,
                "quantity": quantity,
                "price": price,
                "side": ("buy", "sell")[rng.integers(0, 2)],
            }
            record |= {"amount": price * quantity, "currency": "KRW"}
        elif code == "SEC_OUT":
            stock, price = _STOCKS[rng.integers(0, len(_STOCKS))]
            quantity = int(rng.geometric(0.02))
            fields |= {"stock_code": stock, "quantity": quantity, "receiving_broker": str(rng.choice(_BROKERS))}
            record |= {"amount": price * quantity, "currency": "KRW"}
        elif code == "ACCT_OPEN":
            fields |= {"product_code": f"ACT{rng.integers(1, 6):02d}", "product_name": "종합매매계좌"}
        elif code == "INQUIRY":
            fields |= {"inquiry_type": ("balance", "history")[rng.integers(0, 2)]}
        else:
            if code == "TRANSFER":
                fields |= {
                    "to_bank": f"{rng.integers(1, 90):03d}",
                    "to_account_no": f"333-***-{rng.integers(0, 10**6):06d}",
                }
            # The core system leaves the currency out when it is the won.
            record["amount"] = won
        record["fields"] = fields

    # -- other sources ---------------------------------------------------------------------------------------------

    def _consultations(self, number: int, rows: Rows, rng: np.random.Generator) -> list[tuple[int, Record]]:
        people, midnight = self.people, (number - 1) * DAY
        calls = [
            (midnight + int(rng.integers(9 * HOUR, 18 * HOUR)), int(c), _CATEGORIES[rng.integers(0, len(_CATEGORIES))])
            for c in rng.integers(0, people.customers, rng.poisson(people.customers * CONSULTATION_SHARE) + 1)
        ]
        failed = rows[(rows["error"] == ACO_ERROR) & (rows["customer"] >= 0) & (rows["ts"] % DAY < 22 * HOUR)]
        failed = failed[rng.random(len(failed)) < CALL_AFTER_ERROR]
        calls += [
            (int(row["ts"]) + int(rng.integers(5 * MINUTE, 60 * MINUTE)), int(row["customer"]), "계좌개설")
            for row in failed
        ]
        return [
            (
                ts,
                {
                    "consultation_id": f"S{number:04d}-{i:06d}",
                    "customer_id": people.customer_ids[customer],
                    "consulted_at": self.time(ts),
                    "channel": ("call", "chat", "branch")[rng.choice(3, p=(0.6, 0.3, 0.1))],
                    "category": category,
                    "result": ("해결", "이관", "재상담")[rng.choice(3, p=(0.75, 0.15, 0.1))],
                    "agent_team": _TEAMS[rng.integers(0, len(_TEAMS))],
                },
            )
            for i, (ts, customer, category) in enumerate(sorted(calls))
        ]

    def _campaign_sends(self, number: int, rng: np.random.Generator) -> list[tuple[int, Record]]:
        if number % CAMPAIGN_EVERY_DAYS != 1:
            return []
        people = self.people
        campaign = number // CAMPAIGN_EVERY_DAYS + 1
        reached = np.flatnonzero(rng.random(people.customers) < CAMPAIGN_REACH)
        base = (number - 1) * DAY + 10 * HOUR
        sends = []
        for i, customer in enumerate(reached.tolist()):
            sent = base + i * 20 % (2 * HOUR)
            failed = rng.random() < 0.02  # noqa: PLR2004
            opened = not failed and rng.random() < 0.3  # noqa: PLR2004
            clicked = opened and rng.random() < 0.35  # noqa: PLR2004
            opened_at = sent + int(rng.integers(10 * SECOND, 8 * HOUR))
            clicked_at = opened_at + int(rng.integers(SECOND, 90 * SECOND))
            send = {
                "send_id": f"M{number:04d}-{i:07d}",
                "customer_id": people.customer_ids[customer],
                "sent_at": self.time(sent),
                "campaign_id": f"CMP-2026-{campaign:03d}",
                "channel": ("push", "sms", "email", "kakao")[campaign % 4],
                "message_id": f"MSG-{campaign:03d}-{'AB'[customer % 2]}",
                "result": "failed" if failed else "delivered",
                "opened_at": self.time(opened_at) if opened else None,
                "clicked_at": self.time(clicked_at) if clicked else None,
            }
            sends.append((sent, send))
        return sends

    def _subscriptions(self, number: int) -> list[tuple[int, Record]]:
        people, midnight = self.people, (number - 1) * DAY
        rng = np.random.default_rng([people.seed, 8, number])
        found = []
        for i, customer in enumerate(
            rng.integers(0, people.customers, rng.poisson(people.customers * SUBSCRIPTION_SHARE) + 2).tolist()
        ):
            ts = midnight + int(rng.integers(8 * HOUR, 18 * HOUR))
            product, name = _PRODUCTS[rng.integers(0, len(_PRODUCTS))]
            # The second thoughts of the same day; later ones would need a line of their own.
            ended = i == 1 or rng.random() < 0.05  # noqa: PLR2004
            record = {
                "subscription_id": f"P{number:04d}-{i:06d}",
                "customer_id": people.customer_ids[customer],
                "subscribed_at": self.time(ts),
                "product_code": product,
                "product_name": name,
                "status": "ended" if ended else "active",
                "ended_at": self.time(ts + int(rng.integers(MINUTE, 5 * HOUR))) if ended else None,
                "channel": ("web", "app", "branch")[rng.choice(3, p=(0.3, 0.5, 0.2))],
            }
            found.append((ts, record))
        return found

    def _survey_responses(self, number: int, rows: Rows) -> list[tuple[int, Record]]:
        """Answers of customers who were asked, because they did not get to a page and have consented to be asked."""
        people = self.people
        rng = np.random.default_rng([people.seed, 9, number])
        known = np.sort(rows[(rows["customer"] >= 0) & ~rows["is_bot"]], order=["ts", "event_no"])
        last = np.zeros(people.customers, np.int64)
        last[known["customer"]] = np.arange(len(known))  # of the same customer the last one stays
        found: list[tuple[int, Record]] = []
        for rule, (seen, missed, reasons) in _SURVEYS.items():
            began = known["customer"][(known["page"] == self.site.index[seen]) & (known["action"] == VIEW)]
            stuck = np.setdiff1d(began, known["customer"][known["page"] == self.site.index[missed]])
            asked = stuck[self._consents_to[stuck] & (number - self._asked[rule][stuck] >= SURVEY_EVERY_DAYS)]
            self._asked[rule][asked] = number
            for customer in asked[rng.random(len(asked)) < SURVEY_ANSWERED].tolist():
                row = known[last[customer]]
                # The rule waits for the end of the session.
                ts = int(row["ts"]) + TIMEOUT + int(min(rng.exponential(2 * HOUR), 20 * HOUR))
                record: Record = {
                    "response_id": f"R{number:04d}-{len(found):06d}",
                    "responded_at": self.time(ts),
                    "customer_id": people.customer_ids[customer],
                    "visitor_id": people.visitor_ids[row["visitor"]],
                    "rule_id": rule,
                    "answers": {"reason": reasons[rng.integers(0, len(reasons))]},
                }
                found.append((ts, record))
        return found

    def _consents(self, number: int) -> list[tuple[int, Record]]:
        """On the first day what every customer has said, later who changes their mind."""
        people = self.people
        rng = np.random.default_rng([people.seed, 10, number])
        if number == 1:
            chosen = np.arange(people.customers)
            times = np.zeros(people.customers, np.int64)
        else:
            chosen = rng.integers(0, people.customers, rng.poisson(people.customers * CONSENT_SHARE) + 1)
            times = (number - 1) * DAY + rng.integers(9 * HOUR, 18 * HOUR, len(chosen))
        granted = rng.random(len(chosen)) < CONSENT_GRANTED
        self._consents_to[chosen] = granted
        return [
            (
                ts,
                {
                    "customer_id": people.customer_ids[customer],
                    "purpose": "marketing",
                    "granted": "true" if grant else "false",
                    "effective_at": self.time(ts),
                },
            )
            for customer, ts, grant in zip(chosen.tolist(), times.tolist(), granted.tolist(), strict=True)
        ]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a transactions file: `text` as written, the sound record behind it, and what is wrong with it."""

    text: str
    record: Record
    duplicate: bool = False
    defect: int | None = None


class Filing:
    """Files records under the day on which they happened; a few transactions are sent again a day later."""

    def __init__(self, seed: int) -> None:
        """Start with nothing on file."""
        self.seed = seed
        self._under_way: dict[int, list[tuple[int, Record, bool]]] = {}

    def accept(self, records: list[tuple[int, Record]]) -> None:
        """Take records of any day that has not been handed out yet."""
        for ts, record in records:
            self._under_way.setdefault(ts // DAY + 1, []).append((ts, record, False))

    def records(self, day: int) -> list[Record]:
        """Hand out the records of `day` in order of time."""
        found = sorted(self._under_way.pop(day, []), key=lambda item: item[0])
        return [record for _, record, _ in found]

    def transactions(self, day: int) -> list[Line]:
        """Hand out the lines of the transactions file of `day`, with re-sent and broken ones."""
        rng = np.random.default_rng([self.seed, 7, day])
        found = sorted(self._under_way.pop(day, []), key=lambda item: item[0])
        lines: list[Line] = []
        again = rng.random(len(found)) < RESENT_SHARE
        broken = rng.choice(len(found), max(1, len(found) // BROKEN_EVERY), replace=False) if len(found) > 1 else ()
        spots = set(np.asarray(broken).tolist())
        for i, (ts, record, duplicate) in enumerate(found):
            lines.append(Line(_json(record), record, duplicate))
            if again[i] and not duplicate:
                self._under_way.setdefault(day + 1, []).append((ts, record, True))
            if i in spots:
                defect = (day + len(lines)) % _UNKNOWN_CODE
                lines.append(_broken_line(record, f"X{day:04d}-{i:07d}", defect))
        return lines


def unknown_message(model: Record, key: str, code: str) -> Line:
    """Return a message like `model` with a number of its own and a code that nobody knows."""
    record = {**model, "transaction_id": key, "transaction_code": code}
    return Line("", record, defect=_UNKNOWN_CODE)


def _json(record: Record) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _broken_line(model: Record, key: str, defect: int) -> Line:
    """Return a line like `model` with a number of its own and no countable amount, so that control totals are clear."""
    record = {**model, "transaction_id": key}
    record.pop("amount", None)
    reason, name = TRANSACTION_DEFECTS[defect]
    if reason == "missing_required":
        record.pop(str(name))
    elif reason == "bad_time":
        record[str(name)] = "2026-02-30 25:61"
    elif reason == "bad_number":
        record[str(name)] = "1O0,000원"
    text = _json(record)
    return Line(text[: len(text) // 2] if reason == "malformed" else text, model, defect=defect)


def amount_total(lines: Sequence[Line]) -> Decimal:
    """Sum of the amounts that can be read, over all currencies: a control total, not money."""
    amounts = (
        Decimal(str(line.record["amount"]))
        for line in lines
        if line.defect in (None, _UNKNOWN_CODE) and "amount" in line.record
    )
    return sum(amounts, Decimal(0))

"""One day of clickstream at the sample bank, as integer-coded arrays.

Every session walks over the screens step by step, all sessions of the day at once. A day depends on the seed, the
people and the days before it (a device cannot be in two sessions at once), never on the days after it: a longer run
begins with exactly the files of a shorter one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from journeymart.sample.pages import APP, CLICK, ERROR, EXIT, FLOWS, INPUT, SUBMIT, VIEW, Site
from journeymart.sample.population import (
    BOT_PROFILES,
    BROKEN_APP_VERSION,
    PROFILES,
    STORY_CLEAN,
    STORY_ERROR,
    STORY_REMIT,
    STORY_SHARED_A,
    Population,
)

SECOND: Final = 1_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
TIMEOUT: Final = 30 * MINUTE
"""Session timeout the truth is computed with; a gap of exactly this length does not cut."""

SESSIONS_PER_CUSTOMER_DAY: Final = 0.62
EVENTS_PER_CUSTOMER_DAY: Final = 4.7
"""Measured mean of landed lines; turns a wanted number of events into a number of customers."""
MOST_SESSIONS_A_DAY: Final = 12
MEAN_STEPS: Final = 7.0
MOST_STEPS: Final = 220
BOOKED_INQUIRIES: Final = 150
"""Of 1000 balance look-ups this many leave a transaction behind."""
TIGHT_SHARE: Final = 0.05
"""Sessions that follow the one before after the timeout to the millisecond, or one more."""
UNTAGGED_SHARE: Final = 0.05
TERSE_SHARE: Final = 0.02
QUERY_SHARE: Final = 0.35
SECOND_CUSTOMER_SHARE: Final = 0.45
WEEKDAY_LOAD: Final = (1.1, 1.08, 1.05, 1.05, 1.12, 0.85, 0.75)
HOUR_LOAD: Final = (2, 1, 1, 1, 1, 2, 4, 7, 9, 10, 10, 10, 11, 11, 10, 10, 9, 10, 11, 12, 11, 9, 6, 4)

ACO_ERROR_PAGE: Final = "ACO020"
ERROR_CODES: Final = (None, "ACO-E102", "LGN-E401", *(f"SYS-E{500 + i}" for i in range(12)))
ACO_ERROR, LOGIN_ERROR, FIRST_SYSTEM_ERROR = 1, 2, 3

CAMPAIGN_COUNT: Final = 40
UTM_SHARE: Final = 0.2
REFERRERS: Final = (
    None,
    "https://search.naver.com/search.naver?query=한빛은행",
    "https://www.google.com/",
    "https://m.search.daum.net/search?q=한빛은행",
    "https://www.instagram.com/",
    "https://www.youtube.com/",
    "https://pf.kakao.com/",
    "https://blog.naver.com/",
)
REFERRER_SHARES: Final = (0.45, 0.2, 0.13, 0.05, 0.05, 0.05, 0.04, 0.03)

# One row per landed line. 73 bytes: ten million lines are simulated day by day, never held at once.
ROW: Final = np.dtype(
    [
        ("event_no", "u8"),
        ("ts", "i8"),  # milliseconds of local time since the first midnight
        ("received", "i8"),
        ("tag_session", "u8"),  # 0: the tag reported none
        ("visitor", "i4"),
        ("customer", "i4"),  # -1: nobody logged in
        ("referrer", "i4"),  # 0 none, then REFERRERS, then previous screens by device kind
        ("page", "i2"),
        ("misc", "i2"),  # 0…999, chooses ids, texts and properties
        ("utm", "i2"),  # 0: no campaign
        ("action", "i1"),
        ("error", "i1"),
        ("kind", "i1"),  # of the device
        ("query", "i1"),  # which query string the page URL carries
        ("tagged", "?"),  # False: the tag left out the fields that have defaults
        ("is_bot", "?"),
        ("duplicate", "i1"),  # 1: sent again on the same day, 2: on a later one
        ("late_file", "?"),
        ("broken", "i1"),  # 0: sound, otherwise index of a way to be broken
    ]
)
Rows = npt.NDArray[Any]

# Scripted sessions of day 1: who, at what hour, which actions on which screens. They make sure that even a tiny bank
# has every planted truth; larger ones have more of each from chance.
_LOGIN: Final = [("LGN010", VIEW), ("LGN010", INPUT)]
STORIES: Final[tuple[tuple[int, int, list[tuple[str, int]]], ...]] = (
    (STORY_ERROR, 10, [*_LOGIN, ("ACO010", VIEW), ("ACO010", INPUT), ("ACO020", VIEW), ("ACO020", ERROR)]),
    (
        STORY_CLEAN,
        11,
        [
            *_LOGIN,
            *((code, action) for code in FLOWS["account_opening"][:-1] for action in (VIEW, INPUT)),
            (FLOWS["account_opening"][-1], VIEW),
        ],
    ),
    # One device: its first customer, then nobody known, then its second customer.
    (STORY_SHARED_A, 9, [*_LOGIN, ("ACC010", VIEW)]),
    (STORY_SHARED_A, 13, [("HOME01", VIEW), ("DEP010", VIEW)]),
    (STORY_SHARED_A, 18, [*_LOGIN, ("ACC010", VIEW), ("ACC020", VIEW)]),
    (
        STORY_REMIT,
        14,
        [*_LOGIN, ("FXR010", VIEW), ("FXR010", INPUT), ("FXR020", VIEW), ("FXR020", SUBMIT), ("FXR030", VIEW)],
    ),
)
_SECOND_CUSTOMERS_STORY: Final = 4

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Done:
    """A completed form: what the core system will have booked. One entry per transaction, sorted by session."""

    ts: npt.NDArray[np.int64]
    page: npt.NDArray[np.int16]
    customer: npt.NDArray[np.int32]
    visitor: npt.NDArray[np.int32]
    tag_session: npt.NDArray[np.uint64]
    planted: Bools


@dataclass
class _Sessions:
    """The sessions of one day, one entry each, before and during the walk."""

    visitor: npt.NDArray[np.int64]
    start: npt.NDArray[np.int64]
    length: npt.NDArray[np.int64]
    customer: npt.NDArray[np.int64]
    is_bot: Bools
    story: npt.NDArray[np.int8]  # 0: none, otherwise index + 1 of a story

    def take(self, order: npt.NDArray[Any]) -> _Sessions:
        return _Sessions(
            self.visitor[order],
            self.start[order],
            self.length[order],
            self.customer[order],
            self.is_bot[order],
            self.story[order],
        )

    def __len__(self) -> int:
        return len(self.visitor)


@dataclass
class _Steps:
    """What the walk emits: one entry per event, ordered by session, then by step."""

    session: npt.NDArray[np.int64]
    page: npt.NDArray[np.int16]
    previous: npt.NDArray[np.int16]
    action: npt.NDArray[np.int8]
    error: npt.NDArray[np.int8]
    customer: npt.NDArray[np.int32]


class Simulator:
    """Simulates day after day; keeps until when each device is busy."""

    def __init__(self, population: Population, site: Site) -> None:
        """Start before day 1."""
        self.people = population
        self.site = site
        self.busy_until = np.full(len(population.owner), -(10 * DAY), np.int64)
        kinds = np.array([profile.kind for profile in PROFILES + BOT_PROFILES], np.int8)
        self._kind = kinds[population.profile]
        bad = np.array([profile.app_version == BROKEN_APP_VERSION for profile in PROFILES + BOT_PROFILES])
        self._bad_version = bad[population.profile]
        rank = np.arange(len(population.order)) + 50.0
        activity = np.cumsum(rank**-0.7)
        self._activity = activity / activity[-1]
        hours = np.cumsum(HOUR_LOAD)
        self._hours = hours / hours[-1]
        self._stories = [np.array([(site.index[code], action) for code, action in story]) for _, _, story in STORIES]

    def day(self, number: int) -> tuple[Rows, Done]:
        """Simulate day `number` (1…).

        Returns:
            The events that happened in sessions begun that day, ordered by visitor and time, without duplicates and
            before it is known with which file each arrives; and the forms completed in them.
        """
        rng = np.random.default_rng([self.people.seed, 3, number])
        sessions = self._draw_sessions(rng, number)
        steps = self._walk(sessions, rng)
        gaps = self._gaps(sessions, steps, rng)
        within = np.cumsum(gaps)
        first = np.searchsorted(steps.session, np.arange(len(sessions)))
        within -= within[first][steps.session]
        last = np.append(first[1:], len(within)) - 1
        start, tight = self._schedule(sessions, within[last], rng)
        ts = start[steps.session] + within
        self.busy_until[sessions.visitor] = np.maximum.reduceat(ts, first)  # last of a visitor wins: latest session
        rows = self._rows(sessions, steps, ts, tight, first, number, rng)
        return rows, self._completed(sessions, steps, rows, gaps)

    def _draw_sessions(self, rng: np.random.Generator, number: int) -> _Sessions:
        people = self.people
        weekday = (people.start.weekday() + number - 1) % 7
        count = rng.poisson(people.customers * SESSIONS_PER_CUSTOMER_DAY * WEEKDAY_LOAD[weekday])
        bots = np.repeat(np.flatnonzero(people.is_bot), rng.poisson(0.9, int(people.is_bot.sum())))
        humans = people.order[np.searchsorted(self._activity, rng.random(count))]
        stories = STORIES if number == 1 else ()
        planted = np.array([people.story_visitor[who] for who, _, _ in stories], np.int64)
        visitor = np.concatenate([humans, bots, planted]).astype(np.int64)
        n = len(visitor)
        start = np.searchsorted(self._hours, rng.random(n)) * HOUR + rng.integers(0, HOUR, n)
        is_bot = people.is_bot[visitor]
        length = np.where(is_bot, rng.integers(30, 200, n), np.minimum(rng.geometric(1 / MEAN_STEPS, n), 100))
        second = people.second_owner[visitor]
        customer = np.where((second >= 0) & (rng.random(n) < SECOND_CUSTOMER_SHARE), second, people.owner[visitor])
        story = np.zeros(n, np.int8)
        for i, (_, hour, actions) in enumerate(stories):
            at = n - len(stories) + i
            story[at], start[at], length[at] = i + 1, hour * HOUR, len(actions)
            owner = people.second_owner if i == _SECOND_CUSTOMERS_STORY else people.owner
            customer[at] = owner[visitor[at]]
        drawn = _Sessions(visitor, start + (number - 1) * DAY, length, customer, is_bot, story)
        drawn = drawn.take(np.lexsort((drawn.start, drawn.visitor)))
        new = np.append(True, drawn.visitor[1:] != drawn.visitor[:-1])
        nth = np.arange(n) - np.maximum.accumulate(np.where(new, np.arange(n), 0))
        return drawn.take(np.flatnonzero((nth < MOST_SESSIONS_A_DAY) | (drawn.story > 0)))

    def _walk(self, sessions: _Sessions, rng: np.random.Generator) -> _Steps:
        """Move all sessions one step at a time until every one has ended."""
        walk = _Walk(self, sessions, rng)
        alive = np.arange(len(sessions))
        for k in range(MOST_STEPS):
            if k:
                alive = walk.keep(alive, k)
            if not len(alive):
                break
            walk.step(alive, k)
        return walk.steps()

    def _gaps(self, sessions: _Sessions, steps: _Steps, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Milliseconds since the previous event of the session, 0 for its first; below the timeout, at least 150."""
        n = len(steps.session)
        human = np.exp(rng.normal(9.3, 1.2, n))
        quick = np.isin(steps.action, (CLICK, SUBMIT))
        gaps = np.clip(np.where(quick, human * 0.5, human), 400, 25 * MINUTE)
        gaps = np.where(sessions.is_bot[steps.session], rng.integers(150, 3_000, n), gaps).astype(np.int64)
        gaps[np.append(True, steps.session[1:] != steps.session[:-1])] = 0
        return gaps

    def _schedule(
        self, sessions: _Sessions, lasts: npt.NDArray[np.int64], rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], Bools]:
        """Move starts so that sessions of one device never overlap.

        Sessions are ordered by visitor and wanted start. Now and then a session follows its predecessor after
        exactly the timeout (one session by the rule) or one millisecond more (two): those are returned as `tight`.
        """
        n = len(sessions)
        new = np.append(True, sessions.visitor[1:] != sessions.visitor[:-1])
        pause = TIMEOUT + MINUTE + rng.integers(0, 2 * HOUR, n)
        tight = ~new & (rng.random(n) < TIGHT_SHARE) & (sessions.story == 0)
        pause[tight] = TIMEOUT + rng.integers(0, 2, int(tight.sum()))
        # start_i = max(wanted_i, end_{i-1} + pause_i). With c the running sum of what lies between the starts,
        # start_i - c_i is a running maximum, taken per visitor by lifting each visitor above the one before.
        between = np.where(new, 0, np.append(0, lasts[:-1]) + pause)
        c = np.cumsum(between)
        c -= np.maximum.accumulate(np.where(new, c, 0))
        wanted = np.where(tight, sessions.start - sessions.start % DAY, sessions.start)
        wanted = np.where(new, np.maximum(wanted, self.busy_until[sessions.visitor] + pause), wanted)
        lift = np.cumsum(new) * (1000 * DAY)
        return np.maximum.accumulate(wanted - c + lift) - lift + c, tight

    def _rows(
        self,
        sessions: _Sessions,
        steps: _Steps,
        ts: npt.NDArray[np.int64],
        tight: Bools,
        first: npt.NDArray[np.int64],
        number: int,
        rng: np.random.Generator,
    ) -> Rows:
        n, s = len(ts), steps.session
        rows = np.zeros(n, ROW)
        rows["event_no"] = (np.uint64(number) << np.uint64(32)) + np.arange(n, dtype=np.uint64)
        rows["ts"] = ts
        rows["received"] = ts + 50 + rng.exponential(2 * SECOND, n).astype(np.int64)
        rows["visitor"] = sessions.visitor[s]
        rows["customer"] = steps.customer
        rows["page"], rows["action"], rows["error"] = steps.page, steps.action, steps.error
        kind = self._kind[sessions.visitor]
        rows["kind"] = kind[s]
        rows["is_bot"] = sessions.is_bot[s]
        rows["misc"] = rng.integers(0, 1000, n)
        tag = np.arange(1, len(sessions) + 1, dtype=np.uint64) + (np.uint64(number) << np.uint64(32))
        tag[(rng.random(len(sessions)) < UNTAGGED_SHARE) | sessions.is_bot] = 0
        rows["tag_session"] = tag[s]
        rows["tagged"] = (rng.random(len(sessions)) > TERSE_SHARE)[s]
        # A campaign or an outside referrer is seen where the session enters, not after a tight pause, where by the
        # 30-minute rule the session before may still be going on.
        outside = ~tight & ~sessions.is_bot
        campaign = np.where(
            outside & (rng.random(len(sessions)) < UTM_SHARE), rng.integers(1, CAMPAIGN_COUNT + 1, len(sessions)), 0
        )
        source = rng.choice(len(REFERRERS), len(sessions), p=REFERRER_SHARES)
        rows["utm"][first] = campaign
        rows["query"] = np.where(rng.random(n) < QUERY_SHARE, 1, 0)
        rows["query"][first[campaign > 0]] = 2
        moved = (steps.action == VIEW) & (rows["kind"] != APP) & ~rows["is_bot"]
        moved[first] = False
        rows["referrer"][moved] = (
            len(REFERRERS) + rows["kind"][moved].astype(np.int32) * len(self.site) + steps.previous[moved]
        )
        rows["referrer"][first] = np.where(outside & (kind != APP), source, 0)
        return rows

    def _completed(self, sessions: _Sessions, steps: _Steps, rows: Rows, gaps: npt.NDArray[np.int64]) -> Done:
        books = np.zeros(len(self.site), bool)
        booking = [i for i, page in enumerate(self.site.pages) if page.done]
        books[booking] = True
        looks = self.site.index["ACC010"]
        inquiry = (steps.page == looks) & (rows["misc"] < BOOKED_INQUIRIES)
        hit = np.flatnonzero(
            (steps.action == VIEW) & (steps.customer >= 0) & (gaps > 0) & (books[steps.page] | inquiry)
        )
        # Booked after the screen before and before the screen that says so.
        ts = rows["ts"][hit] - np.minimum(gaps[hit] // 2, 500)
        session = steps.session[hit]
        return Done(
            ts=ts,
            page=steps.page[hit],
            customer=steps.customer[hit],
            visitor=rows["visitor"][hit],
            tag_session=rows["tag_session"][hit],
            planted=sessions.story[session] > 0,
        )


class _Walk:
    """State of all sessions of a day while they walk."""

    MOVE_FROM_CONTENT = 0.62
    MOVE_FROM_FORM = 0.5
    INPUT_FIRST = 0.85
    LOGIN_SUCCEEDS = 0.94
    ERROR_SHARE = 0.009
    PLANTED_ERROR_HITS = 0.8
    GIVE_UP_AFTER_PLANTED_ERROR = 0.85
    STAY_IN_FLOW = 0.86
    LEAVE_WITH_EXIT = 0.14
    ENTER_AT_HOME = 0.3

    # Cumulative shares of CLICK, SELECT, INPUT, SUBMIT, POPUP, TAB, SCROLL.
    IN_CONTENT = np.array([0.5, 0.54, 0.57, 0.58, 0.66, 0.78, 1.0])
    IN_FORM = np.array([0.2, 0.36, 0.66, 0.86, 0.93, 0.94, 1.0])

    def __init__(self, simulator: Simulator, sessions: _Sessions, rng: np.random.Generator) -> None:
        n = len(sessions)
        people, self.site = simulator.people, simulator.site
        self.rng, self.sessions = rng, sessions
        self.page = np.zeros(n, np.int16)
        self.previous = np.zeros(n, np.int16)
        self.pending = np.full(n, -1, np.int16)
        self.logged = np.zeros(n, bool)
        self.fresh = np.zeros(n, bool)
        self.ending = np.zeros(n, bool)
        self.bad_version = simulator._bad_version[sessions.visitor]
        self.kind = simulator._kind[sessions.visitor]
        known = sessions.customer >= 0
        self.group = np.where(
            known, people.propensity[np.where(known, sessions.customer, 0)], people.taste[sessions.visitor]
        )
        self.script = np.full((n, max(len(actions) for _, _, actions in STORIES), 2), -1, np.int16)
        for i, steps in enumerate(simulator._stories):
            self.script[sessions.story == i + 1, : len(steps)] = steps
        self.login_page = self.site.index["LGN010"]
        self.home = self.site.index["HOME01"]
        self.error_page = self.site.index[ACO_ERROR_PAGE]
        self.out: list[tuple[npt.NDArray[Any], ...]] = []

    def keep(self, alive: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
        """Return the sessions that go on to step `k`; some of the others say goodbye with an exit event."""
        m = len(alive)
        scripted = self.sessions.story[alive] > 0
        more = k < self.sessions.length[alive]
        in_flow = self.site.form[self.page[alive]] & ~scripted & ~self.sessions.is_bot[alive]
        stay = (more | (in_flow & (self.rng.random(m) < self.STAY_IN_FLOW))) & ~self.ending[alive]
        leave = ~stay & ~scripted & ~self.sessions.is_bot[alive] & (self.rng.random(m) < self.LEAVE_WITH_EXIT)
        gone = alive[leave]
        self._emit(gone, self.page[gone], np.full(len(gone), EXIT, np.int8), np.zeros(len(gone), np.int8))
        return alive[stay]

    def step(self, alive: npt.NDArray[np.int64], k: int) -> None:
        """Let each living session do its event number `k`."""
        rng, m = self.rng, len(alive)
        page = self.page[alive]
        story = self.sessions.story[alive] > 0
        bot = self.sessions.is_bot[alive]
        form, fresh = self.site.form[page], self.fresh[alive]
        if k == 0:
            self._arrive(alive, self._entries(alive))
            page, action, error = self.page[alive], np.full(m, VIEW, np.int8), np.zeros(m, np.int8)
        else:
            inside = rng.random(m)
            action = np.where(
                form, np.searchsorted(self.IN_FORM, inside), np.searchsorted(self.IN_CONTENT, inside)
            ).astype(np.int8)
            action += np.int8(CLICK)
            error = np.zeros(m, np.int8)
            begin = fresh & form & (rng.random(m) < self.INPUT_FIRST)
            action[begin] = INPUT
            move = ~begin & (rng.random(m) < np.where(form, self.MOVE_FROM_FORM, self.MOVE_FROM_CONTENT)) | bot
            fails = ~move & ~bot & (rng.random(m) < self.ERROR_SHARE / (1 - self.MOVE_FROM_CONTENT))
            action[fails] = ERROR
            error[fails] = rng.integers(FIRST_SYSTEM_ERROR, len(ERROR_CODES), int(fails.sum()))
            self._fail_planted(alive, page, fresh & ~story, action, error, move)
            if story.any():
                self._follow_script(alive, k, story, action, error, move)
            self.fresh[alive] = False
            if move.any():
                self._move(alive, np.flatnonzero(move & ~story), action, error)
            page = self.page[alive]
        self._emit(alive, page, action, error)

    def steps(self) -> _Steps:
        """Everything emitted, ordered by session and step."""
        session, page, previous, action, error, customer = (
            np.concatenate(part) for part in zip(*self.out, strict=True)
        )
        order = np.argsort(session, kind="stable")
        return _Steps(session[order], page[order], previous[order], action[order], error[order], customer[order])

    def _emit(
        self, who: npt.NDArray[Any], page: npt.NDArray[Any], action: npt.NDArray[Any], error: npt.NDArray[Any]
    ) -> None:
        customer = np.where(self.logged[who], self.sessions.customer[who], -1).astype(np.int32)
        self.out.append((who, page, self.previous[who], action, error, customer))

    def _entries(self, alive: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
        rng, m = self.rng, len(alive)
        u = rng.random(m)
        # Low numbers first: the generated product screens of a benchmark are entered less often than the real ones.
        entry = self.site.landings[(len(self.site.landings) * rng.random(m) ** 2).astype(np.intp)]
        login_share = np.where(self.kind[alive] == APP, 0.5, 0.2)
        entry = np.where(u < login_share + self.ENTER_AT_HOME, self.home, entry)
        entry = np.where(u < login_share, self.login_page, entry)
        scripted = self.script[alive, 0, 0]
        return np.where(scripted >= 0, scripted, entry).astype(np.int16)

    def _arrive(self, who: npt.NDArray[Any], page: npt.NDArray[Any]) -> None:
        self.previous[who] = self.page[who]
        self.page[who] = page
        self.fresh[who] = True

    def _fail_planted(
        self,
        alive: npt.NDArray[Any],
        page: npt.NDArray[Any],
        fresh: Bools,
        action: npt.NDArray[Any],
        error: npt.NDArray[Any],
        move: Bools,
    ) -> None:
        """Let identity verification in account opening fail on the broken app version."""
        m = len(alive)
        hit = (
            (page == self.error_page) & fresh & self.bad_version[alive] & (self.rng.random(m) < self.PLANTED_ERROR_HITS)
        )
        action[hit], error[hit], move[hit] = ERROR, ACO_ERROR, False
        self.ending[alive[hit]] = self.rng.random(int(hit.sum())) < self.GIVE_UP_AFTER_PLANTED_ERROR

    def _follow_script(
        self,
        alive: npt.NDArray[Any],
        k: int,
        story: Bools,
        action: npt.NDArray[Any],
        error: npt.NDArray[Any],
        move: Bools,
    ) -> None:
        at = np.flatnonzero(story)
        who = alive[at]
        page, what = self.script[who, k, 0], self.script[who, k, 1].astype(np.int8)
        changed = page != self.page[who]
        # A story that leaves the login screen for one behind it has logged in.
        self.logged[who] |= (self.page[who] == self.login_page) & changed & self.site.login[page]
        self._arrive(who[changed], page[changed])
        action[at] = what
        error[at] = np.where(what == ERROR, ACO_ERROR, 0)
        move[at] = False

    def _move(
        self, alive: npt.NDArray[Any], at: npt.NDArray[Any], action: npt.NDArray[Any], error: npt.NDArray[Any]
    ) -> None:
        """Move the sessions at positions `at` of `alive` to another screen, by way of the login where it is needed."""
        rng, who = self.rng, alive[at]
        page = self.page[who]
        reach = self.site.choice[self.group[who], page]
        drawn = self.site.neighbours[page, (rng.random(len(who))[:, None] > reach).sum(axis=1)]
        goal = np.where(self.pending[who] >= 0, self.pending[who], drawn)
        known = self.sessions.customer[who] >= 0
        at_login = (page == self.login_page) & ~self.logged[who]
        attempt = at_login & known & self.site.login[goal]
        failed = attempt & (rng.random(len(who)) > self.LOGIN_SUCCEEDS)
        self.logged[who[attempt & ~failed]] = True
        # A device nobody logs in on turns back at the login screen, and so do crawlers.
        goal = np.where(at_login & ~known & self.site.login[goal], self.home, goal)
        gated = ~at_login & ~self.logged[who] & self.site.login[goal]
        self.pending[who] = np.where(gated | failed, goal, -1)
        goal = np.where(gated, self.login_page, goal)
        action[at] = np.where(failed, ERROR, VIEW)
        error[at] = np.where(failed, LOGIN_ERROR, 0)
        self._arrive(who[~failed], goal[~failed])

"""Who the sample bank serves: customers, their devices, anonymous devices and crawlers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from journeymart.sample.pages import APP, DESKTOP, MOBILE, PROPENSITIES

MIN_CUSTOMERS: Final = 10
GRADES: Final = ("VIP", "GOLD", "SILVER", "BASIC")
REGIONS: Final = ("서울", "경기", "인천", "부산", "대구", "대전", "광주", "울산", "강원", "제주")
GENDERS: Final = ("F", "M")
JOBS: Final = ("회사원", "자영업", "공무원", "전문직", "주부", "학생", "은퇴")
BROKEN_APP_VERSION: Final = "5.2.0"
"""The app version on which account opening fails at one step (planted)."""
APP_VERSIONS: Final = ("5.1.3", BROKEN_APP_VERSION, "5.2.1", "5.3.0")
CUSTOMER_CHANGE_EVERY_DAYS: Final = 7
CUSTOMER_CHANGE_FIRST_DAY: Final = 5
CUSTOMER_CHANGE_SHARE: Final = 0.03
UPGRADE_SHARE: Final = 0.4
ADDRESS_BLOCK: Final = 256

Ints = npt.NDArray[np.int32]

# Planted people: each of these customer numbers takes part in a scripted story on day 1 (see simulate.stories).
STORY_ERROR, STORY_CLEAN, STORY_SHARED_A, STORY_SHARED_B, STORY_REMIT = range(5)


@dataclass(frozen=True, slots=True)
class Profile:
    """A device model with the software on it."""

    kind: int
    os: str | None
    device_type: str | None
    model: str | None
    app_version: str | None
    user_agent: str
    weight: float = 1.0

    @property
    def channel(self) -> str:
        """Channel that the tag reports."""
        return "app" if self.kind == APP else "web"


def _profiles() -> tuple[Profile, ...]:
    webkit = "AppleWebKit/537.36 (KHTML, like Gecko)"
    found = [
        Profile(
            DESKTOP,
            "Windows",
            "desktop",
            None,
            None,
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {webkit} {browser}",
            w,
        )
        for browser, w in (
            ("Chrome/138.0.0.0 Safari/537.36", 5.0),
            ("Chrome/137.0.0.0 Safari/537.36 Edg/137.0.0.0", 2.0),
            ("Chrome/136.0.0.0 Whale/4.32.315.22 Safari/537.36", 1.5),
        )
    ]
    mac = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    found.append(Profile(DESKTOP, "macOS", "desktop", None, None, f"{mac} Version/18.5 Safari/605.1.15", 1.5))
    galaxies = (("SM-S921N", 15), ("SM-S938N", 15), ("SM-A546S", 14), ("SM-F956N", 15), ("SM-G991N", 13))
    iphones = (("iPhone15,2", "17_6"), ("iPhone16,1", "18_3"), ("iPhone17,1", "18_5"))
    for model, android in galaxies:
        agent = f"Mozilla/5.0 (Linux; Android {android}; {model}) {webkit} Chrome/138.0.0.0 Mobile Safari/537.36"
        found.append(Profile(MOBILE, "Android", "mobile", model, None, agent))
        found.extend(
            Profile(APP, "Android", "mobile", model, version, f"HanbitBank/{version} (Android {android}; {model})")
            for version in APP_VERSIONS
        )
    for model, ios in iphones:
        agent = f"Mozilla/5.0 (iPhone; CPU iPhone OS {ios} like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
        agent = f"{agent} Version/{ios.replace('_', '.')} Mobile/15E148 Safari/604.1"
        found.append(Profile(MOBILE, "iOS", "mobile", "iPhone", None, agent))
        found.extend(
            Profile(
                APP, "iOS", "mobile", model, version, f"HanbitBank/{version} (iOS {ios.replace('_', '.')}; {model})"
            )
            for version in APP_VERSIONS
        )
    tablet = f"Mozilla/5.0 (Linux; Android 14; SM-X710) {webkit} Chrome/138.0.0.0 Safari/537.36"
    found.append(Profile(MOBILE, "Android", "tablet", "SM-X710", None, tablet, 0.6))
    return tuple(found)


PROFILES: Final = _profiles()
BOT_PROFILES: Final = tuple(
    Profile(DESKTOP, None, None, None, None, agent)
    for agent in (
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; Yeti/1.1; +http://naver.me/spd)",
        "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
        "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36",
        "python-requests/2.32.4",
    )
)


@dataclass
class Population:
    """Customers and visitors (devices or browsers) as arrays.

    Attributes:
        grade, propensity, region: per customer, as of the day simulated last (`change` moves them on).
        owner: customer of each visitor, -1 for a device that never logs in.
        second_owner: another customer who uses the same device, -1 for nearly all.
        profile: index into `PROFILES` followed by `BOT_PROFILES`.
        taste: propensity that steers the visitor while nobody is logged in.
        is_bot: per visitor.
        order: visitors by activity, most active first (bots left out).
    """

    seed: int
    customers: int
    start: dt.date
    grade: Ints = field(init=False)
    propensity: Ints = field(init=False)
    region: Ints = field(init=False)
    owner: Ints = field(init=False)
    second_owner: Ints = field(init=False)
    profile: Ints = field(init=False)
    taste: Ints = field(init=False)
    is_bot: npt.NDArray[np.bool_] = field(init=False)
    order: npt.NDArray[np.intp] = field(init=False)

    def __post_init__(self) -> None:
        """Draw everyone from the seed; the number of days plays no part, so longer runs extend shorter ones."""
        if self.customers < MIN_CUSTOMERS:
            raise ValueError(f"the sample bank needs at least {MIN_CUSTOMERS} customers, not {self.customers}")
        rng = np.random.default_rng([self.seed, 1])
        n = self.customers
        self.grade = rng.choice(len(GRADES), n, p=(0.04, 0.14, 0.32, 0.5)).astype(np.int32)
        self.propensity = rng.choice(len(PROPENSITIES), n, p=(0.22, 0.22, 0.26, 0.18, 0.12)).astype(np.int32)
        self.region = rng.choice(len(REGIONS), n, p=(0.3, 0.26, 0.07, 0.1, 0.07, 0.06, 0.05, 0.04, 0.03, 0.02)).astype(
            np.int32
        )
        self._birth = rng.integers(1946, 2007, n)
        self._gender = rng.integers(0, 2, n)
        self._job = rng.integers(0, len(JOBS), n)
        self._joined_days_ago = rng.integers(1, 3650, n)
        self._households = rng.integers(1, 6, n)
        self._draw_visitors(rng)
        self.customer_ids = [f"C{10_000_001 + i}" for i in range(n)]

    def _draw_visitors(self, rng: np.random.Generator) -> None:
        n = self.customers
        devices = rng.choice((1, 2, 3), n, p=(0.5, 0.35, 0.15))
        owned = np.repeat(np.arange(n, dtype=np.int32), devices)
        first_device = np.concatenate([[0], np.cumsum(devices)[:-1]])
        anonymous = max(4, int(n * 0.8))
        bots = max(2, int(n * 0.0015))
        people = len(owned) + anonymous
        self.owner = np.concatenate([owned, np.full(anonymous + bots, -1, np.int32)])
        total = len(self.owner)
        self.is_bot = np.arange(total) >= people
        weight = np.array([profile.weight for profile in PROFILES])
        # A third of the devices each: desktop browsers, mobile browsers, the app.
        kind = np.array([profile.kind for profile in PROFILES])
        for k in (DESKTOP, MOBILE, APP):
            weight[kind == k] /= weight[kind == k].sum()
        self.profile = rng.choice(len(PROFILES), total, p=weight / weight.sum()).astype(np.int32)
        self.profile[self.is_bot] = len(PROFILES) + np.arange(bots) % len(BOT_PROFILES)
        self.taste = rng.integers(0, len(PROPENSITIES), total).astype(np.int32)
        self.second_owner = np.full(total, -1, np.int32)
        shared = first_device[STORY_SHARED_B + 2 :: 250]
        self.second_owner[shared] = (self.owner[shared] + 1) % n
        self.story_visitor = first_device[: STORY_REMIT + 1].copy()
        self.second_owner[self.story_visitor] = -1
        self.second_owner[self.story_visitor[STORY_SHARED_A]] = STORY_SHARED_B
        self.profile[self.story_visitor[STORY_ERROR]] = _app_profile(BROKEN_APP_VERSION)
        self.profile[self.story_visitor[STORY_CLEAN]] = _app_profile(APP_VERSIONS[-1])
        self.order = rng.permutation(people)
        numbers = rng.integers(10**8, 10**9, total)
        kinds = np.array([profile.kind for profile in PROFILES + BOT_PROFILES])[self.profile]
        self.visitor_ids = [
            f"app-{number:x}-{i}" if k == APP else f"GA1.2.{number}.{i}"
            for i, (number, k) in enumerate(zip(numbers.tolist(), kinds.tolist(), strict=True))
        ]
        host = rng.integers(0, ADDRESS_BLOCK, (total, 2)).tolist()
        # Carrier-grade and benchmark address blocks: nobody's real address.
        self.ips = [
            f"100.{64 + i % 64}.{a}.{b}" if k else f"198.{18 + i % 2}.{a}.{b}"
            for i, ((a, b), k) in enumerate(zip(host, kinds.tolist(), strict=True))
        ]

    def profile_of(self, visitor: int) -> Profile:
        """Return the device of one visitor."""
        return (PROFILES + BOT_PROFILES)[int(self.profile[visitor])]

    def change(self, day: int) -> Ints:
        """Apply the attribute changes of `day` (1…) and return the customers concerned, which may be none."""
        if day < CUSTOMER_CHANGE_FIRST_DAY or (day - CUSTOMER_CHANGE_FIRST_DAY) % CUSTOMER_CHANGE_EVERY_DAYS:
            return np.empty(0, np.int32)
        rng = np.random.default_rng([self.seed, 2, day])
        count = max(2, int(self.customers * CUSTOMER_CHANGE_SHARE))
        chosen = np.sort(rng.choice(self.customers, count, replace=False)).astype(np.int32)
        # A step up or down, wrapping at the ends, so that each chosen customer really changes.
        self.propensity[chosen] = (self.propensity[chosen] + rng.choice((1, 4), count)) % len(PROPENSITIES)
        upgraded = chosen[rng.random(count) < UPGRADE_SHARE]
        self.grade[upgraded] = np.maximum(self.grade[upgraded] - 1, 0)
        return chosen

    def records(self, chosen: npt.NDArray[Any], day: int) -> list[dict[str, Any]]:
        """Contract records of the chosen customers as of `day`."""
        effective = (self.start + dt.timedelta(days=day - 1)).isoformat()
        return [
            {
                "customer_id": self.customer_ids[c],
                "effective_date": effective,
                "birth_year": int(self._birth[c]),
                "gender": GENDERS[self._gender[c]],
                "region": REGIONS[self.region[c]],
                "grade": GRADES[self.grade[c]],
                "investment_propensity": PROPENSITIES[self.propensity[c]],
                "joined_on": (self.start - dt.timedelta(days=int(self._joined_days_ago[c]))).isoformat(),
                "attributes": {"job": JOBS[self._job[c]], "household_size": int(self._households[c])},
            }
            for c in chosen.tolist()
        ]


def _app_profile(version: str) -> int:
    return next(i for i, profile in enumerate(PROFILES) if profile.app_version == version)

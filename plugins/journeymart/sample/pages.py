"""The screens of the sample bank and how customers move between them.

A screen with a code is what a tagged page looks like. A screen without one (``code=None``) is known only by its
URL, which then carries ids, so that the URL cleaning of the pipeline has something to do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

BANK: Final = "hanbit-bank.example"
DESKTOP, MOBILE, APP = 0, 1, 2
"""Kinds of device; the index into every table that depends on the channel."""
DEVICE_KINDS: Final = 3

VIEW, CLICK, SELECT, INPUT, SUBMIT, POPUP, TAB, SCROLL, ERROR, EXIT = range(10)
ACTIONS: Final = ("view", "click", "select", "input", "submit", "popup", "tab", "scroll", "error", "exit")

PROPENSITIES: Final = (
    "conservative",
    "moderately_conservative",
    "neutral",
    "moderately_aggressive",
    "aggressive",
)

FLOW_PULL: Final = 7.0
"""Weight of the next step of a flow beside 2.5 in all for leaving it."""


@dataclass(frozen=True, slots=True)
class Page:
    """One screen: `path` may hold ``{id}``; `flow`/`step` place it in a multi-step form."""

    code: str | None
    name: str
    path: str
    section: str
    login: bool = False
    flow: str | None = None
    step: int | None = None
    done: bool = False
    invest: bool = False

    @property
    def form(self) -> bool:
        """Whether the screen is a step of a form that still asks for something."""
        return self.flow is not None and not self.done

    def domain(self, kind: int) -> str:
        """Host that serves the screen on a kind of device."""
        if kind == APP:
            return f"app.{BANK}"
        if self.invest:
            return f"invest.{BANK}"
        return f"m.{BANK}" if kind == MOBILE else f"www.{BANK}"


# code | name | path. `*` after the code: login needed.
_SCREENS: Final = """
HOME01  | 홈 | /
HOME02* | 인터넷뱅킹 메인 | /banking
MNU010  | 전체메뉴 | /menu
SRH010  | 통합검색 | /search
NTC010  | 공지사항 | /notice
-       | 공지 상세 | /notice/{id}/view
EVT010  | 이벤트 | /event
-       | 이벤트 상세 | /event/2026/{id}
LGN010  | 로그인 | /login
LGN020  | 인증서 관리 | /login/certificate
LGN030  | 비밀번호 재설정 | /login/password
MYP010* | 마이페이지 | /my
MYP020* | 개인정보 변경 | /my/profile
MYP030* | 알림 설정 | /my/alerts
ACC010* | 전체계좌 조회 | /account/list
ACC020* | 거래내역 조회 | /account/history
-*      | 계좌 상세 | /account/{id}/detail
TRF010* | 이체 정보입력 | /transfer/input
TRF020* | 이체 확인 | /transfer/confirm
TRF030* | 이체 완료 | /transfer/done
TRF040* | 자동이체 관리 | /transfer/standing
FXE010  | 환율 조회 | /fx/rates
FXE020* | 환전 신청 | /fx/exchange
FXR010* | 해외송금 정보입력 | /fx/remit/input
FXR020* | 해외송금 금액확인 | /fx/remit/confirm
FXR030* | 해외송금 완료 | /fx/remit/done
FXR040* | 해외송금 내역 조회 | /fx/remit/history
ACO010* | 계좌개설 약관동의 | /open/terms
ACO020* | 계좌개설 본인확인 | /open/identity
ACO030* | 계좌개설 정보입력 | /open/details
ACO040* | 계좌개설 계좌비밀번호 | /open/password
ACO050* | 계좌개설 완료 | /open/done
STK010  | 종목 순위 | /stock/ranking
STK020  | 종목 상세 | /stock/quote
STK030* | 관심종목 | /stock/watchlist
STK040  | 시장 지표 | /stock/market
-       | 종목 차트 | /stock/{id}/chart
ORD010* | 주식 주문 | /order/input
ORD020* | 주문 확인 | /order/confirm
ORD030* | 주문 완료 | /order/done
ORD040* | 체결 내역 | /order/history
SEC010* | 타사출고 신청 | /securities/out/input
SEC020* | 타사출고 확인 | /securities/out/confirm
SEC030* | 타사출고 완료 | /securities/out/done
FND010  | 펀드 목록 | /fund/list
FND020  | 펀드 상세 | /fund/detail
FND030* | 펀드 가입 | /fund/join
DEP010  | 예금 상품 목록 | /deposit/list
DEP020  | 예금 상품 상세 | /deposit/detail
-       | 예금 상품 안내 | /deposit/products/{id}
DEP030* | 예금 가입 정보입력 | /deposit/join/input
DEP040* | 예금 가입 완료 | /deposit/join/done
LON010  | 대출 상품 목록 | /loan/list
LON020* | 대출 한도 조회 | /loan/limit
LON030* | 대출 신청 | /loan/apply
LON040* | 대출 신청 완료 | /loan/apply/done
CRD010  | 카드 목록 | /card/list
CRD020  | 카드 상세 | /card/detail
CRD030* | 카드 신청 | /card/apply
CRD040* | 카드 신청 완료 | /card/apply/done
INS010  | 보험 상품 | /insurance/list
PEN010  | 연금 안내 | /pension
CSC010  | 고객센터 | /help
CSC020  | 자주 묻는 질문 | /help/faq
CSC030  | 챗봇 상담 | /help/chat
CSC040  | 영업점 찾기 | /help/branch
"""

FLOWS: Final[dict[str, tuple[str, ...]]] = {
    "transfer": ("TRF010", "TRF020", "TRF030"),
    "remittance": ("FXR010", "FXR020", "FXR030"),
    "account_opening": ("ACO010", "ACO020", "ACO030", "ACO040", "ACO050"),
    "order": ("ORD010", "ORD020", "ORD030"),
    "securities_out": ("SEC010", "SEC020", "SEC030"),
    "deposit": ("DEP030", "DEP040"),
    "loan": ("LON020", "LON030", "LON040"),
    "card": ("CRD030", "CRD040"),
}

# Where people go from a screen, beside the next step of a flow. Screens are named by code, or by path without code.
_LINKS: Final = {
    "HOME01": "LGN010:5 HOME02:4 MNU010:2 DEP010:2 STK010:2 EVT010:1.5 LON010:1 CRD010:1 FND010:1 FXE010:1 SRH010:1",
    "HOME02": "ACC010:6 TRF010:6 FXR010:2 STK010:2 DEP010:2 ACO010:2.5 MYP010:1 FXE010:1 EVT010:1 ORD010:1",
    "MNU010": "ACC010:2 FXR010:1 SEC010:0.6 ACO010:1 CSC010:1 PEN010:1 INS010:1 LON010:1 STK040:1 FXE010:1 TRF040:0.5",
    "SRH010": "DEP020:1 STK020:2 FND020:1 CRD020:1 CSC020:1 ACO010:0.5 FXR010:0.5",
    "NTC010": "/notice/{id}/view:6 EVT010:1",
    "/notice/{id}/view": "NTC010:4 CSC010:1",
    "EVT010": "/event/2026/{id}:6 HOME01:1",
    "/event/2026/{id}": "EVT010:2 ACO010:1.5 CRD020:1 DEP020:1 STK010:1",
    "LGN010": "HOME02:6 ACC010:4 TRF010:1.5 LGN020:0.4 LGN030:0.3 STK030:1",
    "LGN020": "LGN010:5",
    "LGN030": "LGN010:5",
    "MYP010": "MYP020:2 MYP030:2 ACC010:1",
    "ACC010": "ACC020:5 /account/{id}/detail:3 TRF010:4 ORD010:0.7 SEC010:0.3 FXR040:0.4",
    "ACC020": "ACC010:3 /account/{id}/detail:2 TRF010:1",
    "/account/{id}/detail": "ACC020:3 TRF010:2 ACC010:2",
    "TRF030": "ACC010:4 TRF010:1 TRF040:0.5",
    "FXE010": "FXE020:2 FXR010:2",
    "FXE020": "FXE010:2 ACC010:1",
    "FXR010": "FXE010:1",
    "FXR030": "FXR040:3 ACC010:2",
    "FXR040": "FXR010:1 ACC010:1",
    "ACO010": "EVT010:0.7 CSC020:0.5",
    "ACO050": "ACC010:3 STK010:2 DEP010:1",
    "STK010": "STK020:7 STK040:1 STK030:1",
    "STK020": "ORD010:3 /stock/{id}/chart:3 STK010:2 STK030:1",
    "STK030": "STK020:4 ORD010:1",
    "STK040": "STK010:4 FND010:1",
    "/stock/{id}/chart": "STK020:4 ORD010:2",
    "ORD030": "ORD040:4 STK020:2 ACC010:1",
    "ORD040": "STK030:2 ORD010:1",
    "SEC010": "CSC020:0.6",
    "SEC030": "ACC010:2 ACC020:1",
    "FND010": "FND020:6",
    "FND020": "FND030:2 FND010:2",
    "FND030": "ACC010:1 FND020:2",
    "DEP010": "DEP020:5 /deposit/products/{id}:3",
    "DEP020": "DEP030:2 DEP010:2",
    "/deposit/products/{id}": "DEP030:2 DEP010:3",
    "DEP040": "ACC010:3 DEP010:1",
    "LON010": "LON020:3 CSC030:0.5",
    "LON040": "ACC010:2",
    "CRD010": "CRD020:6",
    "CRD020": "CRD030:2 CRD010:2",
    "CRD040": "ACC010:2 CRD010:1",
    "CSC010": "CSC020:3 CSC030:2 CSC040:1",
    "CSC020": "CSC030:1 CSC010:2",
}
_EVERYWHERE: Final = "HOME01:1.2 HOME02:0.8 MNU010:0.4"

_INVEST_SECTIONS: Final = frozenset({"STK", "ORD", "FND", "SEC", "ACO"})
_INVEST_TASTE: Final = frozenset({"STK", "ORD", "FND"})
_SAVING_TASTE: Final = frozenset({"DEP", "INS", "PEN"})
# The planted difference: how much each propensity is drawn to investing and to saving screens.
_INVEST_PULL: Final = (0.12, 0.5, 1.0, 2.5, 5.0)
_SAVING_PULL: Final = (4.0, 2.0, 1.0, 0.5, 0.25)

CLICK_TEXTS: Final = {
    "form": ("다음", "이전", "취소", "도움말"),
    "done": ("확인", "메인으로", "이체확인증 보기", "공유하기"),
    "login": ("로그인", "간편비밀번호", "공동인증서", "아이디 찾기"),
    "content": ("자세히 보기", "가입하기", "더보기", "공유하기"),
}
TABS: Final = ("상품안내", "금리/수수료", "유의사항", "후기")
POPUPS: Final = ("이용 안내", "보안 안내", "혜택 알림", "본인확인 안내")
CHECKBOXES: Final = ("전체 동의", "서비스 이용약관 동의", "개인정보 수집·이용 동의", "마케팅 수신 동의")
EXIT_MENUS: Final = ("홈", "전체 메뉴", "뒤로 가기", "로그아웃")
INPUT_FIELDS: Final = ("금액", "받는 분", "계좌번호", "비밀번호")
VARIANTS: Final = 4
"""How many different texts an action on a screen can carry."""


class Site:
    """The screens as arrays, for simulation.

    Attributes:
        pages: the screens; every array below is indexed by position in this tuple.
        index: position by page code, or by path for a screen without code.
        login, form: per screen, whether it needs a login, and whether it is a step of a form.
        landings: screens a session may begin on, the better known first.
        neighbours: (pages, fan) screens reachable by one move.
        choice: (propensities, pages, fan) cumulative probability of each move.
    """

    def __init__(self, nodes: int | None = None) -> None:
        """Build the catalogue; `nodes` above its size adds generated product screens (for benchmarks)."""
        self.pages = _catalogue(nodes)
        self.index = {page.code or page.path: i for i, page in enumerate(self.pages)}
        self.login = np.array([page.login for page in self.pages])
        self.form = np.array([page.form for page in self.pages])
        self.landings = np.flatnonzero(~self.login).astype(np.int16)
        self.neighbours, self.choice = self._moves()

    def __len__(self) -> int:
        """Count the screens."""
        return len(self.pages)

    def _moves(self) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float64]]:
        links = [self._links(i) for i in range(len(self))]
        fan = max(map(len, links))
        neighbours = np.zeros((len(self), fan), np.int16)
        weights = np.zeros((len(PROPENSITIES), len(self), fan))
        for i, targets in enumerate(links):
            for j, (target, weight) in enumerate(targets.items()):
                neighbours[i, j] = target
                section = self.pages[target].section
                for g in range(len(PROPENSITIES)):
                    pull = _INVEST_PULL[g] if section in _INVEST_TASTE else 1.0
                    pull = _SAVING_PULL[g] if section in _SAVING_TASTE else pull
                    # Inside a flow everyone behaves alike: taste decides about starting one.
                    weights[g, i, j] = weight * (1.0 if self.pages[i].form else pull)
        choice = np.cumsum(weights / weights.sum(axis=2, keepdims=True), axis=2)
        choice[:, :, -1] = 1.0
        return neighbours, choice

    def _links(self, i: int) -> dict[int, float]:
        page = self.pages[i]
        key = page.code or page.path
        links: dict[int, float] = {}
        for text in (_LINKS.get(key, ""), _EVERYWHERE):
            for part in text.split():
                name, weight = part.rsplit(":", 1)
                links.setdefault(self.index[name], float(weight))
        if page.flow and not page.done:
            steps = FLOWS[page.flow]
            following = self.index[steps[steps.index(key) + 1]]
            links[following] = FLOW_PULL
        extra = len(self) - _BASE_COUNT
        if extra and not page.form:
            # Six product screens from each place: near ones are common, as in a real menu tree.
            for rank in range(6):
                target = _BASE_COUNT + (i * 37 + rank * rank * 11 + rank) % extra
                links.setdefault(target, 0.9 / math.sqrt(rank + 1))
        links.pop(i, None)
        return links


def _catalogue(nodes: int | None) -> tuple[Page, ...]:
    place = {code: (flow, step) for flow, codes in FLOWS.items() for step, code in enumerate(codes, 1)}
    pages = []
    section = ""
    for line in _SCREENS.strip().splitlines():
        mark, name, path = (part.strip() for part in line.split("|"))
        login = mark.endswith("*")
        mark = mark.rstrip("*")
        code = None if mark == "-" else mark
        section = code[:3] if code else section
        flow, step = place.get(code or "", (None, None))
        pages.append(
            Page(
                code=code,
                name=name,
                path=path,
                section=section,
                login=login,
                flow=flow,
                step=step,
                done=flow is not None and step == len(FLOWS[flow]),
                invest=section in _INVEST_SECTIONS,
            )
        )
    generated = range(1, (nodes or 0) - len(pages) + 1)
    pages.extend(Page(f"PRD{i:03d}", f"상품 안내 {i}", f"/product/{i}", "PRD") for i in generated)
    return tuple(pages)


_BASE_COUNT: Final = len(_SCREENS.strip().splitlines())

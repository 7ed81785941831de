"""Data Docs in Airflow: who may see them, and what may be seen; run by Airflow's Python."""

import importlib
import os
import re
import sys
import tempfile
import unittest
from pathlib import Path
from typing import ClassVar
from unittest import mock

from airflow.api_fastapi.core_api import security
from airflow.plugins_manager import AirflowPlugin
from fastapi import FastAPI
from fastapi.testclient import TestClient

REPO = Path(__file__).resolve().parents[3]


class DataDocs(unittest.TestCase):
    """The plugin's web application, mounted as Airflow mounts it."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        self.home = Path(folder)
        self.docs = self.home / "docs"
        self.enterContext(mock.patch.dict(os.environ, {"JOURNEYMART_HOME": folder}))
        self.enterContext(mock.patch.object(sys, "path", [str(REPO / "plugins"), *sys.path]))
        sys.modules.pop("journeymart_plugin", None)
        self.plugin = importlib.import_module("journeymart_plugin")
        self.manager = self.enterContext(mock.patch.object(security, "get_auth_manager")).return_value
        self.manager.is_authorized_view.return_value = True
        api = FastAPI()
        for mounted in self.plugin.JourneymartPlugin.fastapi_apps:
            api.mount(mounted["url_prefix"], mounted["app"])
        self.client = self.enterContext(TestClient(api))

    def log_in(self):
        self.plugin.app.dependency_overrides[security.get_user] = lambda: mock.Mock(name="user")

    def build_docs(self):
        (self.docs / "static").mkdir(parents=True)
        (self.docs / "index.html").write_text("<h1>Data Docs</h1>")
        (self.docs / "static/style.css").write_text("body {}")
        (self.docs / "static/한글.json").write_text("{}")
        (self.home / "secrets.env").write_text("JM_ADMIN_PASSWORD=secret")
        (self.docs / "link").symlink_to(self.home / "secrets.env")

    def get(self, path):
        return self.client.get(f"/journeymart/docs/{path}", follow_redirects=False)

    def test_pages_with_scripts_of_another_host_are_gone(self):
        api = FastAPI()
        for prefix in ("/auth", "/execution", "/other"):
            api.mount(prefix, FastAPI())
        for added in self.plugin.JourneymartPlugin.fastapi_root_middlewares:
            api.add_middleware(added["middleware"])
        client = self.enterContext(TestClient(api))
        wanted = {"/auth/docs": 404, "/execution/redoc": 404, "/auth/openapi.json": 200, "/other/docs": 200}
        for path, status in wanted.items():
            response = client.get(path)
            self.assertEqual(response.status_code, status, path)
            if status != 404:
                self.assertIn("frame-ancestors 'self'", response.headers["content-security-policy"])
                self.assertEqual(response.headers["x-content-type-options"], "nosniff")

    def test_strangers_see_nothing(self):
        self.build_docs()
        for path in ("", "static/style.css", "nothing-here", "openapi.json", "docs", "redoc"):
            with self.subTest(path):
                response = self.get(path)
                self.assertEqual(response.status_code, 401)
                self.assertNotIn("Data Docs", response.text)

    def test_a_user_without_the_permission_sees_nothing(self):
        self.build_docs()
        self.log_in()
        self.manager.is_authorized_view.return_value = False
        self.assertEqual(self.get("").status_code, 403)
        view = self.manager.is_authorized_view.call_args.kwargs["access_view"]
        self.assertEqual(view, security.AccessView.PLUGINS)

    def test_files_and_their_types(self):
        self.build_docs()
        self.log_in()
        for path, kind in (("", "text/html"), ("index.html", "text/html"), ("static/style.css", "text/css"),
                           ("static/한글.json", "application/json")):  # fmt: skip
            with self.subTest(path):
                response = self.get(path)
                self.assertEqual(response.status_code, 200)
                self.assertTrue(response.headers["content-type"].startswith(kind))
                self.assertIn("default-src 'self'", response.headers["content-security-policy"])
                self.assertEqual(response.headers["x-content-type-options"], "nosniff")
                self.assertIn("private", response.headers["cache-control"])

    def test_nothing_outside_the_folder(self):
        self.build_docs()
        self.log_in()
        for path in ("../secrets.env", "%2e%2e/secrets.env", "..%2fsecrets.env", "static/../../secrets.env", "link",
                     "/etc/passwd", "%2fetc/passwd", "..%5csecrets.env", "%00", "a" * 5000):  # fmt: skip
            with self.subTest(path[:40]):
                response = self.get(path)
                self.assertIn(response.status_code, (400, 404))
                self.assertNotIn("secret", response.text)

    def test_nothing_can_be_written(self):
        self.build_docs()
        self.log_in()
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            self.assertEqual(self.client.request(method, "/journeymart/docs/index.html").status_code, 405)

    def test_before_the_first_validation(self):
        self.log_in()
        self.assertIn("아직 검증 결과가 없습니다", self.get("").text)
        self.assertEqual(self.get("index.html").status_code, 404)

    def test_menu_entry_leads_to_the_application(self):
        plugin = self.plugin.JourneymartPlugin
        self.assertTrue(issubclass(plugin, AirflowPlugin))
        names = {view["name"]: view["href"] for view in plugin.external_views if view["destination"] == "nav"}
        self.assertEqual(
            list(names),
            ["데이터 검증 문서 / Data Docs", "대상군 요청 / Request an audience", "고객군 저장 / Save a segment"],
        )
        for href in names.values():
            self.assertEqual(self.client.get(href).status_code, 401)


class Triggers(unittest.TestCase):
    """What channels ask for, without a warehouse: who may, how often, and that nothing is shown when it is down."""

    def setUp(self):
        folder = self.enterContext(tempfile.TemporaryDirectory())
        settings = {"JOURNEYMART_HOME": folder, "JM_CAMPAIGN_PASSWORD": "x", "JOURNEYMART_PG_PORT": "1"}
        self.enterContext(mock.patch.dict(os.environ, settings))
        self.enterContext(mock.patch.object(sys, "path", [str(REPO / "plugins"), *sys.path]))
        self.module = importlib.reload(importlib.import_module("journeymart.airflow.triggers"))
        self.manager = self.enterContext(mock.patch.object(self.module, "get_auth_manager")).return_value
        self.manager.is_authorized_custom_view.return_value = True
        self.rows = []
        self.asked = []
        self.client = self.enterContext(TestClient(self.module.app))

    def log_in(self, answers=True):
        user = mock.Mock()
        user.get_name.return_value = "web-channel"
        self.module.app.dependency_overrides[security.get_user] = lambda: user
        if answers:

            def pending(arguments):
                self.asked.append(arguments)
                return self.rows

            self.module.warehouse.pending = pending

    def get(self, query, path="/v1/pending"):
        return self.client.get(f"{path}?{query}")

    def test_strangers_and_others_see_nothing(self):
        self.assertEqual(self.get("channel=web&customer_id=c").status_code, 401)
        self.assertEqual(self.get("", "/openapi.json").status_code, 401)
        self.log_in()
        self.manager.is_authorized_custom_view.return_value = False
        self.assertEqual(self.get("channel=web&customer_id=c").status_code, 403)
        self.assertEqual(self.get("", "/openapi.json").status_code, 403)
        asked = self.manager.is_authorized_custom_view.call_args.kwargs
        self.assertEqual((asked["method"], asked["resource_name"]), ("GET", "journeymart triggers"))
        self.assertEqual(self.asked, [])

    def test_arguments_are_checked(self):
        self.log_in()
        for query in ("customer_id=c", "channel=web", "channel=web&customer_id=", "channel=we%20b&customer_id=c",
                      "channel=web&customer_id=%00", "channel=web&visitor_id=" + "v" * 201):  # fmt: skip
            with self.subTest(query[:40]):
                self.assertEqual(self.get(query).status_code, 422)
        response = self.get("channel=web&customer_id=%EA%B3%A0%EA%B0%9D%27--&visitor_id=v")
        self.assertEqual((response.status_code, response.json()), (200, {"triggers": []}))
        self.assertEqual(response.headers["cache-control"], "no-store")
        self.assertEqual(
            self.asked, [{"reader": "web-channel", "channel": "web", "customer": "고객'--", "visitor": "v"}]
        )

    def test_too_many_requests(self):
        self.log_in()
        clock = mock.Mock(return_value=0.0)
        self.enterContext(mock.patch.object(self.module, "rates", self.module.Rates(2, burst=2, clock=clock)))
        codes = [self.get("channel=web&customer_id=c").status_code for _ in range(3)]
        self.assertEqual(codes, [200, 200, 429])
        self.assertEqual(self.get("channel=web&customer_id=c").headers["retry-after"], "1")
        clock.return_value = 0.5
        self.assertEqual(self.get("channel=web&customer_id=c").status_code, 200)

    def test_a_warehouse_that_is_down_is_said_so(self):
        self.log_in(answers=False)
        response = self.get("channel=web&customer_id=c")
        self.assertEqual(response.status_code, 503)
        self.assertNotIn("password", response.text)

    def test_it_is_described(self):
        self.log_in()
        description = self.get("", "/openapi.json").json()
        self.assertEqual(list(description["paths"]), ["/v1/pending"])
        self.assertIn("quiet hours", description["info"]["description"])
        self.assertLessEqual(
            {"200", "401", "403", "429", "503"}, set(description["paths"]["/v1/pending"]["get"]["responses"])
        )
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            self.assertEqual(self.client.request(method, "/v1/pending").status_code, 405)


class Form(unittest.TestCase):
    """A form of the plugin, its DAG aside."""

    MODULE: ClassVar = ""

    def setUp(self):
        self.enterContext(mock.patch.object(sys, "path", [str(REPO / "plugins"), *sys.path]))
        self.forms = importlib.import_module("journeymart.airflow.forms")
        self.module = importlib.reload(importlib.import_module(f"journeymart.airflow.{self.MODULE}"))
        self.manager = self.enterContext(mock.patch.object(self.forms, "get_auth_manager")).return_value
        self.manager.is_authorized_custom_view.return_value = True
        self.addCleanup(self.module.app.dependency_overrides.clear)  # the plugin mounts the same application
        self.trigger = self.enterContext(mock.patch.object(self.forms, "trigger_dag"))
        self.trigger.return_value.run_id = "manual__2026-06-01T00:00:00+00:00"
        self.client = self.enterContext(TestClient(self.module.app, follow_redirects=False))

    def log_in(self, name="marketer"):
        user = mock.Mock()
        user.get_id.return_value = user.get_name.return_value = name
        self.module.app.dependency_overrides[security.get_user] = lambda: user

    def token(self):
        return re.search(r'name="token" value="([^"]+)"', self.client.get("/").text)[1]

    def alert(self, response):
        return re.search(r'role="alert">(.*?)</div>', response.text, re.DOTALL)[1]


class Audiences(Form):
    """The form: who may, that nobody else's site may for them, what is checked, and what is asked of the DAG."""

    MODULE = "audiences"
    ASKED: ClassVar = {
        "id": "AU-ASKED", "label_ko": "재이용 <b>", "segment": "SG-FX-INTEREST", "purpose": "marketing",
        "columns": ["grade", "region"], "schedule": "week", "owner": "fx-sales", "max_contacts": "2 per 7d",
    }  # fmt: skip

    def test_strangers_and_others_see_nothing(self):
        for log_in in (None, self.log_in):
            if log_in:
                log_in()
                self.manager.is_authorized_custom_view.return_value = False
            for response in (self.client.get("/"), self.client.post("/", data=self.ASKED)):
                self.assertEqual(response.status_code, 403 if log_in else 401)
                self.assertNotIn("SG-", response.text)
        asked = self.manager.is_authorized_custom_view.call_args.kwargs
        self.assertEqual((asked["method"], asked["resource_name"]), ("POST", "journeymart audiences"))
        self.assertEqual(self.client.get("/openapi.json").status_code, 404)
        self.trigger.assert_not_called()

    def test_the_form(self):
        self.log_in()
        response = self.client.get("/")
        policy = response.headers["content-security-policy"]
        self.assertIn("default-src 'none'", policy)
        self.assertIn("form-action 'self'", policy)
        self.assertEqual(response.headers["cache-control"], "no-store")
        self.assertLess(response.text.index("대상군 요청"), response.text.index("Request an audience:"))
        self.assertIn("해외송금 관심 고객 / Interested in remittances (SG-FX-INTEREST)", response.text)
        self.assertNotRegex(response.text, r"(src|href)=|https?://")

    def test_a_request_is_asked_of_the_dag(self):
        self.log_in()
        response = self.client.post("/", data=self.ASKED | {"token": self.token()})
        self.assertEqual(response.status_code, 303)
        self.assertEqual(response.headers["location"], "./?run=manual__2026-06-01T00%3A00%3A00%2B00%3A00")
        (dag_id,), asked = self.trigger.call_args
        self.assertEqual((dag_id, asked["triggering_user_name"]), ("audience_request", "marketer"))
        # what `journeymart audience request` makes of the same answers
        self.assertEqual(asked["conf"], {
            "id": "AU-ASKED", "label": {"ko": "재이용 <b>", "en": "재이용 <b>"}, "owner": "fx-sales",
            "purpose": "marketing", "from": {"segment": "SG-FX-INTEREST"}, "schedule": "week",
            "columns": ["grade", "region"], "max_contacts": "2 per 7d",
        })  # fmt: skip

    def test_no_other_site_asks(self):
        self.log_in("somebody")
        other = self.token()
        self.log_in()
        signed = self.forms.URLSafeTimedSerializer("another secret", salt="journeymart audiences").dumps("marketer")
        with mock.patch("time.time", return_value=1.0):
            old = self.token()
        for token in ("", "x", other, signed, old):
            response = self.client.post("/", data=self.ASKED | {"token": token})
            self.assertEqual(response.status_code, 403)
            self.assertIn("재이용 &lt;b&gt;", response.text, "what was written is kept, as text")
        self.trigger.assert_not_called()

    def test_what_is_wrong_is_said(self):
        self.log_in()
        token = self.token()
        for wrong, said in (
            ({"id": "AU-FX-INTEREST"}, "AU-FX-INTEREST is there already"),
            ({"id": "au'; drop"}, "id: String should match pattern"),
            ({"segment": "SG-FX-INTREST"}, "did you mean &#39;SG-FX-INTEREST&#39;"),
            ({"columns": ["customer_id"]}, "columns.0"),
            ({"schedule": "hour"}, "schedule"),
            ({"max_contacts": "often"}, "max_contacts"),
            ({"purpose": ""}, "purpose"),
        ):
            with self.subTest(wrong):
                response = self.client.post("/", data=self.ASKED | {"token": token} | wrong)
                self.assertEqual(response.status_code, 422)
                self.assertIn(said, self.alert(response))
                self.assertNotIn("/tmp", self.alert(response))
        self.assertEqual(self.client.post("/", data=self.ASKED | {"token": token, "owner": "a\0"}).status_code, 422)
        self.trigger.assert_not_called()

    def test_how_far_it_is(self):
        self.log_in()
        for state, told, shown in (
            ("running", {}, "계산·검증·게시하는 중"),
            ("success", {"return_value": {"members": 1234}}, "게시되었습니다"),
            ("failed", {"refused": "journeymart: /x/audiences.yml: AU-ASKED is <there> already"}, "실패했습니다"),
        ):
            found = [mock.Mock(state=state, conf={"id": "AU-ASKED"})]
            with (
                mock.patch.object(self.forms.DagRun, "find", return_value=found) as find,
                mock.patch.object(self.forms, "results", return_value=told),
            ):
                text = self.client.get("/?run=a%22%3E").text
            find.assert_called_once_with(dag_id="audience_request", run_id='a">')
            self.assertIn(f"<b>AU-ASKED</b>: {shown}", text)
            self.assertEqual('http-equiv="refresh"' in text, state == "running")
            self.assertEqual("고객 1,234명" in text, state == "success")
            self.assertEqual("<li>AU-ASKED is &lt;there&gt; already</li>" in text, state == "failed")
            self.assertNotIn('a">', text)


class Segments(Form):
    """The form of cells: what its answers mean, and that mistakes are said in Korean and English."""

    MODULE = "segments"
    HEAD: ClassVar = {"id": "SG-ASKED", "label_ko": "중단 <b>", "owner": "fx-sales", "purpose": "다시 '안내'; --"}
    FUNNEL: ClassVar = {
        "report": "funnel", "step": "FN-REMITTANCE/2", "outcome": "dropped", "from_date": "2026-06-01",
        "channel": "app", "domain": "", "segment": "SG-STABLE",
    }  # fmt: skip
    PATH: ClassVar = {"report": "path", "through": "해외송금\r\n FXR020 \r\n\r\n", "directly": "yes", "ends": "yes"}
    RETENTION: ClassVar = {"report": "retention", "cohort": "CH-LOGIN-WEEK", "start": "2026-06-01", "age": "1"}
    RULE: ClassVar = {"report": "rule", "rule": "DR-FX-INTENT", "days": "7"}
    STATE: ClassVar = {"report": "lifecycle", "cohort": "CH-LOGIN-WEEK", "start": "2026-06-01", "status": "dormant"}

    def ask(self, token, **answers):
        return self.client.post("/", data=self.HEAD | {"token": token} | answers)

    def test_strangers_and_others_see_nothing(self):
        self.assertEqual(self.client.get("/").status_code, 401)
        self.log_in()
        self.manager.is_authorized_custom_view.return_value = False
        for response in (self.client.get("/"), self.client.post("/", data=self.HEAD | self.FUNNEL)):
            self.assertEqual(response.status_code, 403)
            self.assertNotIn("SG-", response.text)
        asked = self.manager.is_authorized_custom_view.call_args.kwargs
        self.assertEqual((asked["method"], asked["resource_name"]), ("POST", "journeymart segments"))
        self.trigger.assert_not_called()

    def test_only_the_fields_of_the_report_are_shown(self):
        self.log_in()
        fields = {
            report: set(re.findall(r'name="(\w+)"', self.client.get(f"/?report={report}").text))
            for report in ("funnel", "path", "rule", "retention", "lifecycle")
        }
        shared = set.intersection(*fields.values())
        self.assertLessEqual({"id", "label_ko", "owner", "purpose"}, shared)
        limits = {"channel", "domain", "device_type", "segment"}
        self.assertEqual({report: found - shared for report, found in fields.items()}, {
            "funnel": {"step", "outcome", "breakdown", "from_date", "to_date"} | limits,
            "path": {"through", "directly", "at_step", "ends", "not_then", "from_date", "to_date"} | limits,
            "rule": {"rule", "days"},
            "retention": {"cohort", "start", "returned", "age"} | limits,
            "lifecycle": {"cohort", "start", "status"} | limits,
        })  # fmt: skip
        text = self.client.get("/").text
        self.assertIn(
            '<option value="FN-REMITTANCE/2">해외송금 · 2. 금액 확인 / Overseas remittance · 2. Amount</option>', text
        )
        self.assertNotRegex(text, r"src=|https?://")
        self.assertEqual(self.client.get("/?report=x").status_code, 422)

    def test_a_cell_is_asked_of_the_dag(self):
        self.log_in()
        token = self.token()
        week = {"id": "CH-LOGIN-WEEK", "start": "2026-06-01"}
        for answers, cell in (
            (self.FUNNEL, {
                "funnel": {"id": "FN-REMITTANCE", "step": "2", "outcome": "dropped", "from": "2026-06-01",
                           "channel": "app"},
                "segment": "SG-STABLE",
            }),
            (self.PATH, {"path": {"through": ["해외송금", "FXR020"], "directly": True, "ends": True}}),
            (self.RULE, {"rule": {"id": "DR-FX-INTENT", "within": "7d"}}),
            (self.RULE | {"days": ""}, {"rule": {"id": "DR-FX-INTENT"}}),
            (self.RETENTION, {"retention": week | {"age": "1", "returned": True}}),
            (self.RETENTION | {"returned": "away"}, {"retention": week | {"age": "1", "returned": False}}),
            (self.RETENTION | {"returned": "started"}, {"retention": week}),
            (self.STATE, {"lifecycle": week | {"status": "dormant"}}),
        ):  # fmt: skip
            with self.subTest(cell):
                response = self.ask(token, **answers)
                self.assertEqual(response.status_code, 303, response.text)
                (dag_id,), asked = self.trigger.call_args
                self.assertEqual((dag_id, asked["triggering_user_name"]), ("segment_request", "marketer"))
                self.assertEqual(asked["conf"], {
                    "id": "SG-ASKED", "label": {"ko": "중단 <b>", "en": "중단 <b>"}, "owner": "fx-sales",
                    "purpose": "다시 '안내'; --", "cell": cell,
                })  # fmt: skip

    def test_what_is_wrong_is_said_in_both_languages(self):
        self.log_in()
        token = self.token()
        for wrong, ko, en in (
            (self.FUNNEL | {"id": "SG-STABLE"}, "이미 있는 식별자", "SG-STABLE is there already"),
            (self.FUNNEL | {"id": "sg'; drop"}, "식별자는 SG-로 시작", "String should match pattern"),
            (self.FUNNEL | {"step": "FN-REMITANCE/1"}, "그런 퍼널이 없습니다", "did you mean &#39;FN-REMITTANCE&#39;"),
            (self.FUNNEL | {"step": "FN-REMITTANCE/9"}, "퍼널에 그 단계가 없습니다", "has 3 steps"),
            (self.FUNNEL | {"step": "FN-REMITTANCE/3"}, "마지막 단계에는", "nobody is dropped at step 3"),
            (self.FUNNEL | {"breakdown": "x"}, "구분 값을 비우세요", "has no breakdown"),
            (
                self.FUNNEL | {"to_date": "2026-05-31"},
                "시작일이 종료일보다 늦습니다",
                "cannot be reached: from 2026-06-01",
            ),
            (self.FUNNEL | {"to_date": "2026-02-30"}, "날짜가 아닙니다", "valid date"),
            (self.FUNNEL | {"segment": "SG-NO"}, "그런 세그먼트가 없습니다", "there is no segment SG-NO"),
            (self.FUNNEL | {"purpose": ""}, "비어 있습니다", "purpose: String should have at least 1"),
            (self.FUNNEL | {"label_ko": " "}, "이름을 쓰세요", "say what people read"),
            (self.PATH | {"through": ""}, "비어 있습니다", "at least 1 item"),
            (self.PATH | {"directly": "no", "at_step": "2"}, "바로 이어질 때만", "only with directly"),
            (self.PATH | {"not_then": "B"}, "이탈한 뒤에는", "nothing comes after the end"),
            (self.RULE | {"rule": "DR-FX-INTENTS"}, "그런 규칙이 없습니다", "did you mean &#39;DR-FX-INTENT&#39;"),
            (self.RULE | {"days": "0"}, "1일 이상", "longer than nothing"),
            (self.RULE | {"days": "99999"}, "너무 깁니다", "at most 100 years"),
            (self.RETENTION | {"start": "2026-06-02"}, "주는 월요일", "no week begins on 2026-06-02"),
            (self.STATE | {"start": "9999-12-27"}, "달력에 없는 날짜", "out of range"),
            (self.RETENTION | {"age": "13"}, "그런 칸이 없거나", "the report has no age 13"),
            (self.RETENTION | {"age": "x"}, "숫자가 아닙니다", "valid integer"),
            (self.RETENTION | {"cohort": "CH-NO"}, "그런 코호트가 없습니다", "there is no cohort CH-NO"),
        ):
            with self.subTest(wrong):
                response = self.ask(token, **wrong)
                self.assertEqual(response.status_code, 422)
                self.assertRegex(self.alert(response), f"{re.escape(ko)}.* / .*{re.escape(en)}")
                self.assertNotIn("definitions/", self.alert(response))
        self.assertEqual(self.ask(token, **self.PATH, not_then="a\0").status_code, 422)
        with tempfile.TemporaryDirectory() as own, mock.patch.dict(os.environ, {"JOURNEYMART_DEFINITIONS": own}):
            Path(own, "kpis.yml").write_text("kpi: []\n", encoding="utf-8")
            said = self.alert(self.ask(token, **self.FUNNEL))
            Path(own, "segments.yml").write_text("segments: [", encoding="utf-8")
            broken = self.ask(token, **self.FUNNEL)
            self.assertEqual(broken.status_code, 503)
            self.assertRegex(broken.json()["detail"], "^지금 있는 정의에 잘못이 있습니다.* / segments.yml:2: ")
        self.assertIn("지금 있는 정의에 잘못이 있습니다", said)
        self.assertIn("/ kpis.yml:1: kpi: unknown key", said)
        self.trigger.assert_not_called()


class PluginsFolder(unittest.TestCase):
    """What Airflow imports from plugins/."""

    def test_only_the_plugin_is_one(self):
        from airflow._shared.module_loading import find_path_from_directory

        found = [Path(path).name for path in find_path_from_directory(str(REPO / "plugins"), ".airflowignore", "glob")]
        self.assertEqual([name for name in found if name.endswith(".py")], ["journeymart_plugin.py"])


if __name__ == "__main__":
    unittest.main()

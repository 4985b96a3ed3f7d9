"""Every public signature, as a type checker sees it. Never run."""

from __future__ import annotations

import collections.abc as cabc
import datetime
import re
import typing as t
from pathlib import Path

import flask
from blinker import NamedSignal
from flask.views import View
from markupsafe import Markup
from secure import Preset
from secure import Secure

from flaskware_secure import Append
from flaskware_secure import append
from flaskware_secure import Batch
from flaskware_secure import Changes
from flaskware_secure import clear_site_data
from flaskware_secure import Cors
from flaskware_secure import Csp
from flaskware_secure import Directive
from flaskware_secure import EndpointAudit
from flaskware_secure import Feature
from flaskware_secure import Grade
from flaskware_secure import GradeFinding
from flaskware_secure import IntegrityError
from flaskware_secure import Ledger
from flaskware_secure import LogReports
from flaskware_secure import MemoryReports
from flaskware_secure import NonceError
from flaskware_secure import Policy
from flaskware_secure import PolicyProblem
from flaskware_secure import Report
from flaskware_secure import report_collected
from flaskware_secure import report_dropped
from flaskware_secure import ReportGroup
from flaskware_secure import ReportStore
from flaskware_secure import ReportStoreError
from flaskware_secure import SecureHeaders
from flaskware_secure import SecureSettings
from flaskware_secure import Suggestion
from flaskware_secure import table_reports
from flaskware_secure import Trial
from flaskware_secure import Withheld
from flaskware_secure.testing import assert_csp
from flaskware_secure.testing import assert_nonces
from flaskware_secure.testing import assert_snapshot
from flaskware_secure.testing import csp_of
from flaskware_secure.testing import nonce_of
from flaskware_secure.testing import parse_csp
from flaskware_secure.testing import parse_permissions
from flaskware_secure.testing import SnapshotDiffers

app = flask.Flask("typed")
secure = SecureHeaders(app)
SecureHeaders(app, policy="api")
SecureHeaders(policy=Policy.strict(), hsts_seconds=60).init_app(app)
SecureHeaders(policy="strickt")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

t.assert_type(secure.csp_nonce(), str)
t.assert_type(secure.trusted_types(), Markup)
SecureHeaders(app, trusted_types="report", trusted_types_origins=["https://a.example"])
t.assert_type(secure.settings, SecureSettings)
t.assert_type(secure.settings.hsts_seconds, int)
t.assert_type(secure.settings.security_txt_contacts, tuple[str, ...])
t.assert_type(secure.settings.security_txt_expires, datetime.datetime | None)
t.assert_type(secure.settings.change_password, str | None)
SecureHeaders(
    app,
    security_txt_contacts=["mailto:security@example.org"],
    security_txt_expires=datetime.date(2027, 1, 31),
    change_password="/account/password",
)
t.assert_type(secure.policy_of(app, "index"), Policy)
t.assert_type(secure.policy_of(app, None), Policy)
t.assert_type(secure.audit(app, send=True), list[EndpointAudit])


@app.get("/<int:number>")
@secure.override(
    frame_ancestors=["https://partner.example"],
    img_src=append("https://cdn.example"),
    font_src="'self' data:",
    form_action=None,
    coop="same-origin-allow-popups",
    permissions={"camera": ["self"]},
    permissions_report_only={"usb": append("self")},
    cross_site=True,
)
def view(number: int) -> str:
    return str(number)


@secure.override(cross_site=True)
class Hook(View):
    def dispatch_request(self) -> str:
        return "taken"


t.assert_type(view(1), str)
t.assert_type(Hook().dispatch_request(), str)
blueprint = flask.Blueprint("blueprint", __name__)
t.assert_type(secure.override(referrer="origin")(blueprint), flask.Blueprint)
secure.override(scirpt_src=["'self'"])  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
secure.override(coop="same-orgin")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

t.assert_type(append("a"), Append)
t.assert_type(Policy.strict(csp={"img-src": ["'self'", "https://cdn.example"]}), Policy)
t.assert_type(
    Policy.strict().permissions_report_only, cabc.Mapping[str, tuple[str, ...]]
)
Policy.strict(permissions_report_only={"usv": []})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
Policy.strict(csp={"imgsrc": []})  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
t.assert_type(Policy.api(), Policy)
t.assert_type(Policy.embedded(["https://partner.example"]), Policy)
t.assert_type(Policy.legacy(style_src=["'self'"]), Policy)
t.assert_type(Policy.from_secure(Preset.BALANCED), Policy)
t.assert_type(Policy.from_secure(Secure(), coep="require-corp"), Policy)
t.assert_type(Policy.strict().changed(referrer=None), Policy)
t.assert_type(Policy.strict().csp, cabc.Mapping[str, tuple[str, ...]])

changes: Changes = {"referrer": "origin", "img_src": ["'self'"]}
t.assert_type(Policy.strict(**changes), Policy)

directive: Directive = "script-src"
feature: Feature = "camera"

audit = secure.audit(app)[0]
t.assert_type(audit.grade, Grade)
t.assert_type(audit.grade.findings, tuple[GradeFinding, ...])
t.assert_type(audit.as_dict(), dict[str, t.Any])
t.assert_type(PolicyProblem("key", "expected").code, str)
error: RuntimeError = NonceError("")

response = app.test_client().get("/")
t.assert_type(clear_site_data(flask.Response(), "cookies"), flask.Response)
t.assert_type(csp_of(response), dict[str, tuple[str, ...]])
t.assert_type(nonce_of(response), str | None)
t.assert_type(assert_csp(response, script_src=["'none'"]), None)
t.assert_type(assert_nonces(response), None)
t.assert_type(parse_csp(""), dict[str, tuple[str, ...]])
t.assert_type(parse_permissions(""), dict[str, tuple[str, ...]])

t.assert_type(secure.policy_of(app, "index", path="/"), Policy)
t.assert_type(secure.static_script("app.js", defer=True), Markup)
t.assert_type(secure.static_style("app.css", endpoint="admin.static"), Markup)
t.assert_type(secure.reports(app), list[ReportGroup])
t.assert_type(secure.suggestions(app), list[Suggestion])
t.assert_type(secure.clean_since(app), float | None)
t.assert_type(secure.trial(app), Trial | None)
t.assert_type(Trial(1.0, None).clean_since, float)
t.assert_type(secure.ledger(app), Ledger)
t.assert_type(secure.ledger(app).lost.get("rate"), int | None)
t.assert_type(secure.suggestions(app)[0].withheld, tuple[Withheld, ...])
t.assert_type(secure.suggestions(app)[0].clients, int)
t.assert_type(Batch(tuple(secure.reports(app))).groups, tuple[ReportGroup, ...])


@app.errorhandler(404)
@secure.override_error(referrer="origin")
def missing(error: Exception) -> tuple[str, int]:
    return "missing", 404


t.assert_type(missing(ValueError()), tuple[str, int])
cors = Cors(origins=("https://app.example", re.compile("https://[a-z]+[.]example")))
t.assert_type(cors.allows("https://app.example"), bool)
trial = Csp({"img-src": ("'none'",)}, report_only=True)
t.assert_type(Policy.strict(cors=cors, also=[trial], integrity=["script"]), Policy)
Policy.strict(integrity=["image"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
Policy.strict(policy=Policy.legacy(), document_isolation="none")

stores: list[ReportStore] = [
    LogReports(),
    MemoryReports(10),
    table_reports("sqlite://"),
]
report = Report("csp", "enforce", "img-src")
t.assert_type(report.key, str)
t.assert_type(secure.reports(app)[0].report, Report)
t.assert_type(secure.suggestions(app)[0].count, int)
t.assert_type(report_collected, NamedSignal)
t.assert_type(report_dropped, NamedSignal)
not_there: RuntimeError = IntegrityError("")
down: RuntimeError = ReportStoreError("")
t.assert_type(assert_snapshot(app, Path("secure.json"), update=True), None)
differs: AssertionError = SnapshotDiffers("")
t.assert_type(audit.file, str)
t.assert_type(secure.add_nonces(flask.Response()), flask.Response)
blueprint.after_request(secure.add_nonces)

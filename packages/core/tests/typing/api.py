"""Every public signature of flaskware-core, as a user's type checker sees it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t
from pathlib import Path
from typing import assert_type

import flask
from flask.sansio.app import App
from flask.sessions import SessionMixin
from itsdangerous import URLSafeSerializer

from flaskware_core import active_app
from flaskware_core import active_context
from flaskware_core import active_request
from flaskware_core import add_health
from flaskware_core import AlreadyInitialised
from flaskware_core import attach
from flaskware_core import backoff
from flaskware_core import call_in_app_context
from flaskware_core import check_connections
from flaskware_core import CircuitBreaker
from flaskware_core import closest
from flaskware_core import CommandGroup
from flaskware_core import ConfigError
from flaskware_core import ConfigProblem
from flaskware_core import Context
from flaskware_core import CoreSettings
from flaskware_core import Credential
from flaskware_core import CredentialSource
from flaskware_core import current_app_object
from flaskware_core import current_context
from flaskware_core import current_request
from flaskware_core import current_session
from flaskware_core import DeclarationError
from flaskware_core import describe
from flaskware_core import examine
from flaskware_core import Extension
from flaskware_core import FileLock
from flaskware_core import Finding
from flaskware_core import FINDING_FORMATS
from flaskware_core import FindingFormat
from flaskware_core import ForkGuard
from flaskware_core import framework_of
from flaskware_core import from_environment
from flaskware_core import in_event_loop
from flaskware_core import is_async
from flaskware_core import keep_out_of_caches
from flaskware_core import lazy_names
from flaskware_core import Level
from flaskware_core import Misuse
from flaskware_core import note_refusal
from flaskware_core import NotInitialised
from flaskware_core import refuse_in_event_loop
from flaskware_core import render_findings
from flaskware_core import Report
from flaskware_core import request_credential
from flaskware_core import request_getter
from flaskware_core import request_origin
from flaskware_core import RequestOrigin
from flaskware_core import Sensitive
from flaskware_core import Settings
from flaskware_core import signer
from flaskware_core import takes_from_elsewhere
from flaskware_core import Unavailable
from flaskware_core import with_app_context
from flaskware_core import WouldBlock
from flaskware_core.testing import async_app_context
from flaskware_core.testing import blueprint_for
from flaskware_core.testing import chromium
from flaskware_core.testing import free_port
from flaskware_core.testing import isolation
from flaskware_core.testing import make_app
from flaskware_core.testing import node_modules
from flaskware_core.testing import rendered
from flaskware_core.testing import Service
from flaskware_core.testing import Services
from flaskware_core.testing import serving
from flaskware_core.testing import set_screen
from flaskware_core.testing import temporary_database
from flaskware_core.testing import temporary_pgbouncer
from flaskware_core.testing import temporary_redis
from flaskware_core.testing import without_scripts


class MailSettings(Settings):
    prefix = "MAIL_"
    url: t.Annotated[str, Sensitive()]

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        yield ConfigProblem("MAIL_URL", "another", "this", "that")


@dc.dataclass(frozen=True)
class MailState:
    sent: int


class Mail(Extension[MailSettings, MailState]):
    name = "mail"

    def _build(self, app: App, settings: MailSettings) -> MailState:
        assert_type(settings.url, str)
        return MailState(0)

    def _attach(self, app: App, settings: MailSettings, state: MailState) -> None:
        attach(app, "before_request", lambda: None)

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        yield Finding("mail.sent", Level.INFO, "None was sent.", "Send one.")


app = flask.Flask(__name__)
mail = Mail()
mail.init_app(app)
assert_type(mail.state, MailState)
assert_type(mail.settings, MailSettings)
assert_type(mail.state_of(app), MailState)
assert_type(mail.settings_of(app), MailSettings)
assert_type(MailSettings.from_config(app.config), MailSettings)
assert_type(MailSettings.key("url"), str)
assert_type(MailSettings.is_sensitive("url"), bool)
assert_type(CoreSettings.from_config({}).trusted_origins, frozenset[str])
assert_type(request_credential(flask.request), Credential | None)
assert_type(takes_from_elsewhere(flask.request), bool)
assert_type(note_refusal(flask.Flask("app")), None)
assert_type(is_async(flask.Flask("app")), bool)
assert_type(in_event_loop(), bool)
assert_type(framework_of(flask.Flask("app")), t.Any)
assert_type(refuse_in_event_loop(flask.Flask("app"), "db.session", "…"), None)
assert_type(keep_out_of_caches(flask.Flask("app"), "a secret", lambda: [""]), None)


def ask(source: CredentialSource) -> None:
    assert_type(source.credential_of(flask.request), Credential | None)


assert_type(request_origin(flask.request, {"https://a.example"}), RequestOrigin)
assert_type(examine(app, deploy=True, timeout=2.5), Report)
assert_type(examine(app).worst(), Level | None)
assert_type(describe("text", sensitive=True), str)
assert_type(ConfigError("x", []).problems, tuple[ConfigProblem, ...])
found, listed = lazy_names(__name__, {"_seldom": ["Seldom"]})
assert_type(listed(), list[str])
check_connections(app)

finding = Finding("mail.sent", Level.INFO, "None was sent.", "Send one.", line=1)
assert_type(finding.asvs, str)
assert_type(finding.place, str)
assert_type(finding.as_dict(), dict[str, t.Any])
chosen: FindingFormat = "sarif"
assert_type(FINDING_FORMATS, tuple[FindingFormat, ...])
assert_type(render_findings([finding], chosen, tool="mail", unit="mail"), str)
assert_type(closest("ulr", ["url"]), str | None)
assert_type(active_context(), Context | None)
assert_type(current_context(), Context)
assert_type(current_context().app, App)
assert_type(active_app(), App | None)
assert_type(current_app_object(), App)
add_health(app, live="/up", ready="/ready")
assert_type(active_request(), flask.Request | None)
assert_type(current_request(), flask.Request)
assert_type(request_getter(app)(), flask.Request)
assert_type(current_session(), SessionMixin)
assert_type(signer("mail.link", app=app), URLSafeSerializer)
assert_type(ForkGuard().in_child(), bool)
assert_type(CircuitBreaker(Unavailable, threshold=2, pause=1.0).is_open, bool)
assert_type(Unavailable("down").reason, str)
ForkGuard().leave(object())
assert_type(backoff(1, first=0.1, longest=2.0, spread=1.0), float)
lock = FileLock(Path("mail.lock"), signed=True)
assert_type(lock.try_acquire(), bool)
assert_type(lock.holder(), int | None)
with lock.hold(timeout=1.0):
    lock.acquire(timeout=0.5)
lock.release()

try:
    mail.init_app(app)
except (AlreadyInitialised, NotInitialised, WouldBlock) as error:
    assert_type(error, AlreadyInitialised | NotInitialised | WouldBlock)
except DeclarationError as declaration:
    misuse: Misuse = declaration
    assert_type(misuse.place, str)

from_environment(app.config, prefix="SHOP")
assert_type(make_app(mail, SECRET_KEY="x"), flask.Flask)
assert_type(make_app(framework="quart"), flask.Flask)


async def in_an_app_context() -> None:
    assert_type(rendered("{{ n }}", n=1), str)
    make_app().register_blueprint(blueprint_for(make_app(), "admin"))
    async with async_app_context(make_app()) as nothing:
        assert_type(nothing, None)


with serving(app) as address:
    assert_type(address, str)
with isolation(app) as isolated:
    assert_type(isolated, App)
assert_type(free_port(), int)
assert_type(node_modules(Path("npm"), Path("build")), Path)
with temporary_pgbouncer("postgresql://localhost/x", pool_size=3) as pooled:
    assert_type(pooled, str)
with chromium("hide-scrollbars") as browser, without_scripts(browser):
    set_screen(browser, 390, dark=True)
with Services() as services:
    assert_type(services.get("redis"), Service)
    with temporary_redis(services.get("redis")) as url:
        assert_type(url, str)
    with temporary_database(services.get("postgresql")) as url:
        assert_type(url, str)

services.get("oracle")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
attach(app, "before_requst", print)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]

group = CommandGroup("mail", help="Look at the mail.")


@group.command("show")
def show_mail() -> None: ...


@with_app_context
def send_mail(count: int) -> str:
    return "sent" * count


assert_type(send_mail(2), str)
assert_type(call_in_app_context(flask.Flask("app"), lambda: 1), int)

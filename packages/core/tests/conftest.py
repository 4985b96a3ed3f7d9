from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import pydantic
import pytest
from flask.sansio.app import App

from flaskware_core import attach
from flaskware_core import ConfigProblem
from flaskware_core import Extension
from flaskware_core import Finding
from flaskware_core import Level
from flaskware_core import Sensitive
from flaskware_core import Settings

pytest_plugins = ["pytester"]


class MailSettings(Settings):
    prefix = "MAIL_"
    distribution = "flaskware-mail"
    replaced: t.ClassVar[cabc.Mapping[str, str]] = {
        "MAIL_SERVER": 'MAIL_URL = "smtp://localhost"'
    }
    foreign = frozenset({"MAIL_MAN"})

    url: t.Annotated[str, Sensitive()] = pydantic.Field(
        pattern=r"^\w+://", examples=["smtp://localhost"]
    )
    port: int = pydantic.Field(default=25, gt=0)
    mode: t.Literal["off", "log", "send"] = "send"
    binds: dict[str, int] = pydantic.Field(default={}, examples=[{"news": 1}])
    tls: bool = False
    start_tls: bool = False

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        if self.tls and self.start_tls:
            yield ConfigProblem(
                "MAIL_TLS and MAIL_START_TLS", "at most one of them", "both True",
                "MAIL_START_TLS = False",
            )  # fmt: skip


@dc.dataclass(frozen=True)
class MailState:
    sent: list[str]


class Mail(Extension[MailSettings, MailState]):
    name = "mail"

    def _build(self, app: App, settings: MailSettings) -> MailState:
        return MailState([])

    def _attach(self, app: App, settings: MailSettings, state: MailState) -> None:
        def count(response: t.Any) -> t.Any:
            state.sent.append(settings.url)
            return response

        attach(app, "after_request", count)

    def _close(self, state: MailState) -> None:
        state.sent.append("closed")

    def _check(self, app: App, *, deploy: bool) -> cabc.Iterable[Finding]:
        if deploy and self.settings_of(app).mode != "send":
            yield Finding(
                "mail.mode", Level.WARNING, "No mail is sent.", 'MAIL_MODE = "send"'
            )

    def _probe(self, app: App) -> cabc.Iterable[ConfigProblem]:
        if self.settings_of(app).url.endswith("down"):
            yield ConfigProblem("MAIL_URL", "a server that answers", "refused", "")

    def _isolate(self, app: App) -> t.Any:
        return _forget(self.state_of(app))


class _forget:
    def __init__(self, state: MailState) -> None:
        self.state = state

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc_info: object) -> None:
        self.state.sent.clear()


@pytest.fixture
def mail_settings() -> type[MailSettings]:
    return MailSettings


@pytest.fixture
def mail_class() -> type[Mail]:
    return Mail

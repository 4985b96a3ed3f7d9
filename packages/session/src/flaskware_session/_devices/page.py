"""The page on which users see and end their sessions, as a blueprint.

It works without scripts. It is plain HTML with the macros of a theme: those of
flaskware-forms, if the app has that, or the plain macros of the same names here.
"""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import hmac
import secrets
import types
import typing as t

import flask
from flask.sansio.app import App
from flask.typing import ResponseReturnValue

from flaskware_core import CoreSettings
from flaskware_core import request_credential
from flaskware_core import request_origin
from flaskware_session._errors import NotFresh
from flaskware_session._records.record import SessionInfo
from flaskware_session._web.session import session

from .names import DeviceRow
from .texts import choose
from .texts import DeviceTexts

BLUEPRINT = "flaskware_session"
"""Name of the blueprint, and folder of its templates."""

Confirm: t.TypeAlias = str | cabc.Callable[[str, str], bool] | None
"""An endpoint that asks for credentials; or a function that takes the id of the user
and what they entered, and returns whether it is right."""

_OTHERS = "others"
# The macros of plain.html, which every theme of flaskware-forms has.
_MACROS = ("field", "label", "errors", "button", "classes")
_CSRF = "_devices_csrf"
_TRIES = "_devices_tries"
# A stolen session must not serve to find out the password.
_MOST_TRIES = 5


class DeviceSessions(t.Protocol):
    """The part of the extension that the page uses."""

    @property
    def user_id(self) -> str | None: ...
    def for_user(self, user_id: str | int) -> list[SessionInfo]: ...
    def is_fresh(self, *, minutes: float, factor: str = ...) -> bool: ...
    def confirm_factor(self, factor: str = ...) -> None: ...
    def revoke(self, handle: str, *, user_id: str | int | None = None) -> bool: ...
    def revoke_user(self, user_id: str | int, *, keep_current: bool = True) -> int: ...
    def logout(self) -> None: ...


@dc.dataclass(frozen=True)
class DeviceOptions:
    """Options of the page; see ``Sessions.devices_page``."""

    confirm: Confirm
    factor: str
    minutes: float
    texts: cabc.Sequence[DeviceTexts]
    trusted_origins: cabc.Collection[str] = ()

    @classmethod
    def of(
        cls,
        app: App,
        confirm: Confirm,
        factor: str,
        minutes: float,
        texts: DeviceTexts | cabc.Sequence[DeviceTexts],
    ) -> t.Self:
        """Return the options of an app."""
        offered = (texts,) if isinstance(texts, DeviceTexts) else tuple(texts)
        if not offered:
            raise ValueError("devices_page() takes at least one DeviceTexts.")
        trusted = CoreSettings.from_config(app.config).trusted_origins
        return cls(confirm, factor, minutes, offered, trusted)


class DeviceBlueprint(flask.Blueprint):
    """The blueprint of the page.

    :param sessions: The extension.
    """

    def __init__(self, sessions: DeviceSessions, options: DeviceOptions) -> None:
        super().__init__(
            BLUEPRINT,
            "flaskware_session",
            template_folder="templates",
            static_folder="static",
            static_url_path="/static",
        )
        self.options = options
        self._sessions = sessions
        self.add_url_rule("/", "devices", self._show, methods=["GET"])
        self.add_url_rule("/end", "end", self._end, methods=["POST"])

    def _show(self) -> ResponseReturnValue:
        texts = choose(self.options.texts)
        rows = [DeviceRow(info, texts) for info in self._listed()]
        # The current device first, and the order of use for the others.
        rows.sort(key=lambda row: not row.info.is_current)
        return self._render("devices.html", texts, rows=rows)

    def _end(self) -> ResponseReturnValue:
        texts, listed = choose(self.options.texts), self._listed()
        target = flask.request.form.get("device", "")
        chosen = next((info for info in listed if info.handle == target), None)
        if chosen is not None and chosen.is_current:
            flask.abort(400)
        if not self._is_own_form():
            return self._back(texts.expired)
        if target != _OTHERS and chosen is None:
            return self._back(texts.gone)
        if not self._is_fresh():
            refusal = self._ask(texts, target, chosen)
            if refusal is not None:
                return refusal
        user_id = t.cast("str", self._sessions.user_id)
        if chosen is None:
            self._sessions.revoke_user(user_id)
            return self._back(texts.ended_others)
        ended = self._sessions.revoke(chosen.handle, user_id=user_id)
        return self._back(texts.ended if ended else texts.gone)

    def _ask(
        self, texts: DeviceTexts, target: str, chosen: SessionInfo | None
    ) -> ResponseReturnValue | None:
        """Return the answer that asks for credentials; ``None`` if they were given."""
        confirm, options = self.options.confirm, self.options
        if confirm is None:
            raise NotFresh(options.factor, options.minutes)
        if isinstance(confirm, str):
            page = flask.url_for(".devices")
            return flask.redirect(flask.url_for(confirm, next=page), 303)
        given = flask.request.form.get("password")
        if given is not None:
            self._count_try()
            if confirm(t.cast("str", self._sessions.user_id), given):
                del session[_TRIES]
                self._sessions.confirm_factor(options.factor)
                return None
        device = "" if chosen is None else DeviceRow(chosen, texts).name
        html = self._render(
            "confirm.html", texts, target=target, device=device, wrong=given is not None
        )
        return html, 401 if given is None else 422

    def _count_try(self) -> None:
        session.increment(_TRIES)
        # Before the password is looked at, and with the tries of parallel requests.
        session.save()
        if session[_TRIES] > _MOST_TRIES:
            self._sessions.logout()
            raise NotFresh(self.options.factor, self.options.minutes)

    def _is_fresh(self) -> bool:
        options = self.options
        return self._sessions.is_fresh(minutes=options.minutes, factor=options.factor)

    def _listed(self) -> list[SessionInfo]:
        user_id = self._sessions.user_id
        if user_id is None:
            raise NotFresh
        return self._sessions.for_user(user_id)

    def _is_own_form(self) -> bool:
        request = flask.request
        origin = request_origin(request, self.options.trusted_origins)
        if origin == "same-origin" or request_credential(request) == "header":
            return True
        if origin == "cross-site":
            flask.abort(403)
        token = str(session.get(_CSRF, ""))
        given = request.form.get(_CSRF, "")
        return bool(token) and hmac.compare_digest(given.encode(), token.encode())

    def _render(self, template: str, texts: DeviceTexts, **values: t.Any) -> str:
        if _CSRF not in session:
            session[_CSRF] = secrets.token_urlsafe(16)
        ui, is_themed = _theme()
        return flask.render_template(
            f"{BLUEPRINT}/{template}",
            texts=texts,
            ui=ui,
            is_themed=is_themed,
            csrf_name=_CSRF,
            csrf_value=session[_CSRF],
            others=_OTHERS,
            **values,
        )

    def _back(self, message: str) -> ResponseReturnValue:
        flask.flash(message)
        return flask.redirect(flask.url_for(".devices"), 303)


def _theme() -> tuple[object, bool]:
    """Return the macros of the app's forms or the plain macros, and which of them."""
    app = flask.current_app
    forms: t.Any = app.extensions.get("forms")
    if not hasattr(forms, "theme_macro") or "flaskware_forms" not in app.blueprints:
        return app.jinja_env.get_template(f"{BLUEPRINT}/plain.html").module, False
    macros = {name: forms.theme_macro(name) for name in _MACROS}
    return types.SimpleNamespace(**macros), True

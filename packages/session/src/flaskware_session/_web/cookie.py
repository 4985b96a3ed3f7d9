from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import logging
import typing as t

from werkzeug.sansio.request import Request
from werkzeug.sansio.response import Response

from flaskware_session._records.token import is_token

Policy: t.TypeAlias = t.Literal["auto", "secure", "plain"]

logger = logging.getLogger("flaskware.session")

_HOST_PREFIX = "__Host-"
_SECURE_PREFIX = "__Secure-"
_MOST_COOKIES = 5
_TLS = frozenset({"https", "wss"})
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dc.dataclass(frozen=True)
class SessionCookie:
    """The cookie that carries the id, and when it is ``Secure``.

    Two names, so that no page that came over http can set what https reads.

    :param name: Its name where it is not ``Secure``.
    :param config: Of the app. Whether it is being developed or tested is often set
        after `init_app`: by `app.run`, or by a test.
    """

    name: str
    policy: Policy
    domain: str | None
    path: str
    samesite: str | None
    httponly: bool
    partitioned: bool
    config: cabc.Mapping[str, t.Any] = dc.field(repr=False)
    _warned: set[str] = dc.field(default_factory=set[str], repr=False)

    @property
    def secure_name(self) -> str:
        """Name of a ``Secure`` cookie: with ``__Host-``, or what else is allowed."""
        if self.name.startswith("__"):
            return self.name
        is_wide = self.domain or self.path != "/"
        return (_SECURE_PREFIX if is_wide else _HOST_PREFIX) + self.name

    def is_secure(self, request: Request) -> bool:
        """Return whether the cookie of this request is ``Secure``.

        By the policy "auto" it is, but where a browser would then not send it back:
        plain http in debug mode, in a test, or on this machine.
        """
        if self.policy != "auto":
            return self.policy == "secure"
        if request.scheme in _TLS:
            return True
        is_relaxed = self.config["DEBUG"] or self.config["TESTING"]
        return not (is_relaxed or _is_local(_hostname(request)))

    def read(self, request: Request) -> list[str]:
        """Return the ids that a request carries."""
        return [value for value in self.values(request) if is_token(value)]

    def values(self, request: Request) -> list[str]:
        """Return the values of the cookie in a request.

        A browser sends every cookie of the name that it has for the path and its
        parents, the domain and its parents.
        """
        name = self.secure_name if self.is_secure(request) else self.name
        return request.cookies.getlist(name)[:_MOST_COOKIES]

    def set(
        self, request: Request, response: Response, token: str, *, max_age: int | None
    ) -> None:
        """Have the browser keep an id.

        :param max_age: For how many seconds; ``None`` until it is closed.
        """
        secure = self.is_secure(request)
        if secure and request.scheme not in _TLS:
            self._warn_once(request)
        response.set_cookie(
            self.secure_name if secure else self.name,
            token,
            max_age=max_age,
            **self._attributes(secure=secure),
        )

    def delete(self, request: Request, response: Response) -> None:
        """Have the browser forget the id."""
        secure = self.is_secure(request)
        response.delete_cookie(
            self.secure_name if secure else self.name, **self._attributes(secure=secure)
        )

    def forget_plain(self, request: Request, response: Response) -> None:
        """Have the browser forget a cookie of Flask's name that is not used now."""
        is_another = self.is_secure(request) and self.secure_name != self.name
        if is_another and self.name in request.cookies:
            attributes = self._attributes(secure=self.samesite == "None")
            response.delete_cookie(self.name, **attributes)

    def _attributes(self, *, secure: bool) -> dict[str, t.Any]:
        return {
            "path": self.path,
            "domain": self.domain,
            "secure": secure,
            "httponly": self.httponly,
            "samesite": self.samesite,
            "partitioned": self.partitioned,
        }

    def _warn_once(self, request: Request) -> None:
        host = _hostname(request)
        if not self._warned:
            self._warned.add(host)
            logger.warning(
                "The session cookie is Secure, but the request came over plain http"
                " (host %r). If TLS ends at a proxy, add werkzeug's ProxyFix. If"
                " there is no TLS, browsers drop the cookie: use https, or set"
                ' SESSION_COOKIE_POLICY = "plain" where nobody can listen.',
                host,
            )


def _is_local(host: str) -> bool:
    return host in _LOCAL or host.endswith(".localhost")


def _hostname(request: Request) -> str:
    host = request.headers.get("Host", "")
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]

"""Cookie flags, added to each ``Set-Cookie`` that leaves the app."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import logging
import typing as t

from .transport import OnceLogger

logger = logging.getLogger("flaskware.secure")

# Cookies that a library's own script reads and sends back as a header: Angular and
# axios, Django's and Laravel's clients, Flask-JWT-Extended, Flask-SeaSurf,
# Flask-Security. They hold a token against forged requests and sign nobody in.
_READ_BY_SCRIPTS = frozenset(
    {
        "_csrf", "_csrf_token", "csrf-token", "csrf_access_token",
        "csrf_refresh_token", "csrf_token", "csrftoken", "x-csrf-token", "xsrf-token",
    }
)  # fmt: skip
# Keys of configuration by which libraries rename such a cookie.
_NAMING_KEYS = (
    "JWT_ACCESS_CSRF_COOKIE_NAME", "JWT_REFRESH_CSRF_COOKIE_NAME", "CSRF_COOKIE_NAME",
    "SECURITY_CSRF_COOKIE_NAME",
)  # fmt: skip
_MOST = 100


def named_by(config: cabc.Mapping[str, t.Any]) -> frozenset[str]:
    """Return the cookies that the configuration of other libraries has scripts read."""
    names = {config.get(key) for key in _NAMING_KEYS}
    return frozenset(name for name in names if isinstance(name, str))


def fixed_cookie(line: str, *, https: bool, readable: cabc.Container[str] = ()) -> str:
    """Return a ``Set-Cookie`` value with the flags that it should have.

    ``Secure`` if the response goes over https, ``HttpOnly``, ``SameSite=Lax`` if it
    has no ``SameSite``. Browsers refuse a ``__Host-`` or ``__Secure-`` cookie without
    the flags of its prefix (RFC 6265bis, section 4.1.3), so it gets these too.

    :param readable: Names of cookies that scripts of the page have to read, beside
        those of well-known libraries.
    """
    pair, *rest = [part.strip() for part in line.split(";")]
    name = pair.partition("=")[0].strip()
    flags = {part.partition("=")[0].strip().lower(): part for part in rest if part}
    if name.lower().startswith("__host-"):
        flags.pop("domain", None)
        flags["path"] = "Path=/"
    if https or name.lower().startswith(("__host-", "__secure-")):
        flags.setdefault("secure", "Secure")
    if name not in readable and not _is_read_by_scripts(name):
        flags.setdefault("httponly", "HttpOnly")
    flags.setdefault("samesite", "SameSite=Lax")
    if _sends_everywhere(flags["samesite"]) and "secure" not in flags:
        # Browsers refuse SameSite=None without Secure.
        flags["samesite"] = "SameSite=Lax"
    return "; ".join([pair, *flags.values()])


def _is_read_by_scripts(name: str) -> bool:
    lower = name.lower()
    return lower.removeprefix("__host-").removeprefix("__secure-") in _READ_BY_SCRIPTS


def _sends_everywhere(flag: str) -> bool:
    return flag.lower().replace(" ", "") == "samesite=none"


@dc.dataclass(frozen=True)
class CookieFixer:
    """The fixing of the cookies of an app.

    :param enforce: False to log what is wrong only.
    :param changed: The changes that were made, by the name of the cookie.
    """

    readable: frozenset[str]
    enforce: bool
    changed: dict[str, str] = dc.field(default_factory=dict[str, str])
    log: OnceLogger = dc.field(default_factory=lambda: OnceLogger(logger))

    def __call__(self, line: str, https: bool) -> str:
        """Return a ``Set-Cookie`` value with the flags that it should have."""
        fixed = fixed_cookie(line, https=https, readable=self.readable)
        before, after = _parts(line), _parts(fixed)
        if before != after:
            name = line.partition("=")[0]
            change = ", ".join(
                [
                    *(f"{part} added" for part in sorted(after - before)),
                    *(f"{part} removed" for part in sorted(before - after)),
                ]
            )
            if len(self.changed) < _MOST:
                self.changed[name] = change
            if self.enforce:
                # Only these two can break what sends or reads the cookie.
                noticed = "HttpOnly" in change or "removed" in change
                self.log.write(
                    logging.WARNING if noticed else logging.INFO,
                    "The cookie %s was changed: %s. If a script reads it, name it in"
                    " SECURE_COOKIES_READABLE.",
                    name,
                    change,
                )
            else:
                self.log.warning(
                    "The cookie %s lacks flags that it should have: %s.", name, change
                )
        return fixed if self.enforce else line


def _parts(line: str) -> set[str]:
    return {part.strip() for part in line.split(";")[1:] if part.strip()}

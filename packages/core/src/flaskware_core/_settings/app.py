"""Settings that the extensions of an app share, and the check of its key."""

from __future__ import annotations

import collections.abc as cabc
import typing as t
from urllib.parse import urlsplit

import pydantic

from flaskware_core._web.origin import parse_origin

from .base import Settings
from .problems import ConfigError
from .problems import ConfigProblem


def _exact_origin(value: str) -> str:
    """Return an origin as browsers write it: in lower case, without a default port."""
    origin = parse_origin(value)
    if origin is None or urlsplit(value).path not in {"", "/"}:
        raise ValueError("an origin: scheme, host and port only, no path")
    return origin


class CoreSettings(Settings):
    """Settings that all extensions of an app share."""

    prefix = "FLASKWARE_"
    distribution = "flaskware-core"

    trusted_origins: frozenset[
        t.Annotated[str, pydantic.AfterValidator(_exact_origin)]
    ] = pydantic.Field(
        default=frozenset(),
        description="Other origins whose requests count as the app's own.",
        examples=[["https://app.example"]],
    )
    silenced_checks: frozenset[str] = pydantic.Field(
        default=frozenset(),
        description="Ids of findings that `flask doctor` should not report.",
        examples=[["core.body-limit"]],
    )


def check_secret_key(config: cabc.Mapping[str, object]) -> None:
    """Refuse a ``SECRET_KEY`` that cannot sign anything.

    :raises ConfigError: if it is neither text nor bytes. A key of digits from the
        environment is a number, because Flask reads JSON there.
    """
    key = config.get("SECRET_KEY")
    # No key at all is no error: an app may have nothing to sign.
    if key is not None and not isinstance(key, str | bytes):
        problem = ConfigProblem(
            "SECRET_KEY",
            "text or bytes",
            f"a value of type {type(key).__name__} (not shown)",
            "the output of: python -c 'import secrets; print(secrets.token_hex())'",
        )
        raise ConfigError("the app", [problem])

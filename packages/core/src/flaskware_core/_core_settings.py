from __future__ import annotations

import typing as t
from urllib.parse import urlsplit

import pydantic

from ._origin import parse_origin
from ._settings import Settings


def _exact_origin(value: str) -> str:
    origin = parse_origin(value)
    if origin is None or urlsplit(value).path not in {"", "/"}:
        raise ValueError("an origin: scheme, host and port only, no path")
    return origin


class CoreSettings(Settings):
    """What the extensions of one app share."""

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

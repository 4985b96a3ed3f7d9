from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import pydantic

from flaskware_core import Settings

from ._errors.messages import languages
from ._markup.theme import Marks
from ._schema.moments import zone_of
from ._schema.numbers import tag_of

CsrfStrategy: t.TypeAlias = t.Literal["headers_or_token", "headers"]


class FormsSettings(Settings):
    """Limits, themes and languages of an app's forms.

    CSRF protection uses the ``WTF_CSRF_*`` keys of Flask-WTF. Other origins that count
    as the app's own are in ``FLASKWARE_TRUSTED_ORIGINS``.
    """

    prefix = "FORMS_"
    distribution = "flaskware-forms"
    replaced = {  # noqa: RUF012
        "FORMS_CSRF": "WTF_CSRF_ENABLED, which both kinds of form read",
        "FORMS_TRUSTED_ORIGINS": "FLASKWARE_TRUSTED_ORIGINS, which extensions share",
    }

    max_depth: int = pydantic.Field(
        default=8,
        ge=1,
        le=64,
        description="Maximum nesting depth of a form or JSON body.",
        examples=[8],
    )
    max_entries: int = pydantic.Field(
        default=1000,
        ge=1,
        description="Maximum number of values in a form or JSON body, and limit of the"
        " index of a list entry.",
        examples=[1000],
    )
    max_body_size: int = pydantic.Field(
        default=1 << 20,
        ge=1,
        description="Maximum size of a body in bytes, without the declared size of its"
        " files, if `MAX_CONTENT_LENGTH` is not set.",
        examples=[1 << 20],
    )
    max_upload_size: int = pydantic.Field(
        default=10 << 20,
        ge=1,
        description="Maximum size of an uploaded file in bytes, if its declaration has"
        " no limit.",
        examples=[10 << 20],
    )
    max_step_state: int = pydantic.Field(
        default=3000,
        ge=100,
        description="Maximum number of characters that a form of several pages keeps in"
        " the session; a cookie holds about 4000 in total.",
        examples=[3000],
    )
    csrf_strategy: CsrfStrategy = pydantic.Field(
        default="headers_or_token",
        description="Proof that a request comes from the app's own pages:"
        " `headers_or_token`, or `headers`, with which typed forms have no token and"
        " open no session. `headers` needs https.",
        examples=["headers"],
    )
    theme: str = pydantic.Field(
        default="plain",
        description="Markup of forms: `plain`, for the bundled style sheet or your own,"
        " `bootstrap5`, `govuk`, `tailwind`, or a name in `FORMS_THEMES`.",
        examples=["bootstrap5"],
    )
    themes: dict[str, str] = pydantic.Field(
        default_factory=dict[str, str],
        description="Folders with themes of your own, by name, each with a"
        " `theme.html`. A relative folder is below that of the app.",
        examples=[{"house": "templates/forms"}],
    )
    marks: Marks = pydantic.Field(
        default="optional",
        description="Fields whose label says whether they must be filled in:"
        " `optional`, `required`, `both` or `none`.",
        examples=["required"],
    )
    template: str | None = pydantic.Field(
        default=None,
        description="Template of the app with macros `row_NAME` for fields of a name,"
        " and `row_of_KIND` for fields of a kind.",
        examples=["forms.html"],
    )
    timezone: str | cabc.Callable[[], str | dt.tzinfo | None] | None = pydantic.Field(
        default=None,
        description="Time zone in which moments are shown and read: a name, or a"
        " function that returns a name, a zone or `None` for the person of the request."
        " With Flask-Babel, its time zone decides. Without a zone, a moment is shown in"
        " its own; one without an offset is read in UTC.",
        examples=["Europe/Berlin"],
    )
    locale: str | cabc.Callable[[], str | None] | None = pydantic.Field(
        default=None,
        description="Locale in which decimals and floats are shown and read: a tag, or"
        " a function that returns a tag or `None` for the person of the request. With"
        " Flask-Babel, its locale decides. Without a locale, the browser's own decides."
        " Needs `flaskware-forms[babel]`.",
        examples=["de_AT"],
    )
    languages: tuple[str, ...] = pydantic.Field(
        default=("en",),
        min_length=1,
        description="Languages of the messages, the first for a client that accepts"
        " none of them. With Flask-Babel, its locale decides.",
        examples=[["en", "de", "fr", "es"]],
    )

    @pydantic.field_validator("timezone")
    @classmethod
    def _is_a_zone(cls, zone: t.Any) -> t.Any:
        if isinstance(zone, str):
            try:
                zone_of(zone)
            except ValueError:
                raise ValueError("a time zone such as Europe/Berlin") from None
        return zone

    @pydantic.field_validator("locale")
    @classmethod
    def _is_a_locale(cls, locale: t.Any) -> t.Any:
        if isinstance(locale, str):
            tag_of(locale)
        return locale

    @pydantic.field_validator("languages")
    @classmethod
    def _are_translated(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(tags) - languages()
        if unknown:
            raise ValueError(
                f"languages with a translation: {', '.join(sorted(languages()))}"
            )
        return tags

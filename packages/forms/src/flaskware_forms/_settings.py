from __future__ import annotations

import pydantic

from flaskware_core import Settings

from ._errors.messages import languages
from ._markup.theme import ThemeName


class FormsSettings(Settings):
    """What bounds the forms of an app.

    CSRF protection keeps the ``WTF_CSRF_*`` keys of Flask-WTF, and other origins that
    count as the app's own are ``FLASKWARE_TRUSTED_ORIGINS``.
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
        description="How many levels deep a form or JSON body may be nested.",
        examples=[8],
    )
    max_entries: int = pydantic.Field(
        default=1000,
        ge=1,
        description="How many values a form or JSON body may hold; also the end of"
        " what may number the entry of a list.",
        examples=[1000],
    )
    max_body_size: int = pydantic.Field(
        default=1 << 20,
        ge=1,
        description="How many bytes a body may have, the declared size of its files"
        " not counted, where `MAX_CONTENT_LENGTH` is not set.",
        examples=[1 << 20],
    )
    max_upload_size: int = pydantic.Field(
        default=10 << 20,
        ge=1,
        description="How many bytes an uploaded file may have, where its declaration"
        " does not say.",
        examples=[10 << 20],
    )
    max_step_state: int = pydantic.Field(
        default=3000,
        ge=100,
        description="How many characters a form of several pages may keep in the"
        " session; a cookie holds about 4000 of all.",
        examples=[3000],
    )
    theme: ThemeName = pydantic.Field(
        default="plain",
        description="How forms are marked up: `plain`, for the bundled style sheet or"
        " your own, or `bootstrap5`.",
        examples=["bootstrap5"],
    )
    template: str | None = pydantic.Field(
        default=None,
        description="A template of the app whose macros `row_NAME` render the fields of"
        " that name, and `row_of_KIND` those of that kind.",
        examples=["forms.html"],
    )
    languages: tuple[str, ...] = pydantic.Field(
        default=("en",),
        min_length=1,
        description="What the messages may be written in, the first where a client"
        " accepts none of them. Where Flask-Babel is on the app, its locale decides.",
        examples=[["en", "de", "fr", "es"]],
    )

    @pydantic.field_validator("languages")
    @classmethod
    def _are_translated(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        unknown = set(tags) - languages()
        if unknown:
            raise ValueError(
                f"languages with a translation: {', '.join(sorted(languages()))}"
            )
        return tags

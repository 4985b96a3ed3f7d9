"""The base class of an extension's settings."""

from __future__ import annotations

import collections.abc as cabc
import types
import typing as t

import flask
import pydantic
import pydantic_core
from pydantic.fields import FieldInfo

from .problems import ConfigError
from .problems import ConfigProblem
from .redact import describe
from .redact import Verbatim
from .suggest import closest
from .suggest import closest_choice


class Sensitive:
    """Marker for a setting whose value must never be printed.

    Write ``store_url: Annotated[str, Sensitive()]``. Errors and ``repr`` then show
    the scheme of a URL at most.
    """


class Settings(pydantic.BaseModel):
    """Typed, frozen configuration of an extension.

    A subclass names the ``prefix`` of its config keys; the field ``pool_size`` under
    the prefix ``"MAIL_"`` is read from ``MAIL_POOL_SIZE``. A field's description and
    examples appear in errors and in the generated reference.
    """

    model_config: t.ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        validate_default=True,
        # A validator is made when an app is initialised, not when a module is imported.
        defer_build=True,
    )

    prefix: t.ClassVar[str]
    """The start of every config key of the extension."""

    distribution: t.ClassVar[str] = ""
    """The name of the distribution, as an error names it."""

    replaced: t.ClassVar[cabc.Mapping[str, str]] = types.MappingProxyType({})
    """Remedies for keys of a predecessor that have no effect here, by key."""

    foreign: t.ClassVar[frozenset[str]] = frozenset()
    """Keys under the prefix that belong to another library and are ignored."""

    @classmethod
    def from_config(
        cls,
        config: cabc.Mapping[str, t.Any],
        overrides: cabc.Mapping[str, t.Any] | None = None,
    ) -> t.Self:
        """Read and validate every setting at once.

        :param config: An app's config. Keys without the prefix are ignored.
        :param overrides: Values by field name that override ``config``: the keyword
            arguments given to an extension.
        :raises ConfigError: listing every bad key with the expected value, the given
            value and the remedy. It never contains the value of a secret.
        """
        values: dict[str, t.Any] = {}
        problems: list[ConfigProblem] = []
        for key, value in config.items():
            if not key.startswith(cls.prefix):
                continue
            field = key.removeprefix(cls.prefix).lower()
            if key == cls.key(field) and field in cls.model_fields:
                values[field] = value
            elif (problem := cls._unknown(key)) is not None:
                problems.append(problem)
        for name, value in (overrides or {}).items():
            if name in cls.model_fields:
                values[name] = value
            else:
                problems.append(cls._unknown_argument(name))
        try:
            settings = cls.model_validate(values)
        except pydantic.ValidationError as error:
            problems.extend(cls._explain(error, values, overrides or {}))
        else:
            problems.extend(settings.conflicts())
            if not problems:
                return settings
        # `from None`, or the ValidationError would be printed too.
        raise ConfigError(cls.distribution or cls.__module__, problems) from None

    def conflicts(self) -> cabc.Iterator[ConfigProblem]:
        """Yield a problem for each combination of settings that cannot work.

        Override this for rules about several fields. It is called once every field
        is valid by itself.
        """
        yield from ()

    @classmethod
    def key(cls, field: str) -> str:
        """Return the config key that a field is read from."""
        return f"{cls.prefix}{field.upper()}"

    @classmethod
    def is_sensitive(cls, field: str) -> bool:
        """Return True if the value of a field must not be printed."""
        return field in cls.model_fields and _is_sensitive(cls.model_fields[field])

    def __repr_args__(self) -> cabc.Iterator[tuple[str | None, t.Any]]:
        for name, value in super().__repr_args__():
            if name is not None and value is not None and self.is_sensitive(name):
                yield name, Verbatim(describe(value, sensitive=True))
            else:
                yield name, value

    @classmethod
    def _unknown(cls, key: str) -> ConfigProblem | None:
        if key in cls.foreign or key in flask.Flask.default_config:
            return None
        if (remedy := cls.replaced.get(key)) is not None:
            return ConfigProblem(key, "nothing: the key has no effect here", "", remedy)
        name = key.removeprefix(cls.prefix)
        return cls._misspelled(key, "configuration key", name, cls.key)

    @classmethod
    def _unknown_argument(cls, name: str) -> ConfigProblem:
        return cls._misspelled(f"{name}=…", "argument", name, str)

    @classmethod
    def _misspelled(
        cls, key: str, kind: str, name: str, write: cabc.Callable[[str], str]
    ) -> ConfigProblem:
        meant = closest(name, cls.model_fields)
        known = ", ".join(map(write, cls.model_fields)) or "none"
        return ConfigProblem(
            key,
            f"a known {kind}",
            write=f"one of: {known}" if meant is None else write(meant),
            summary=f"unknown {kind}; "
            + (f"known: {known}" if meant is None else f"did you mean {write(meant)}?"),
        )

    @classmethod
    def _explain(
        cls,
        error: pydantic.ValidationError,
        values: cabc.Mapping[str, t.Any],
        overrides: cabc.Mapping[str, t.Any],
    ) -> cabc.Iterator[ConfigProblem]:
        # A union reports an error for each member that did not fit: joined here.
        expected: dict[str, list[str]] = {}
        for item in error.errors(include_url=False, include_input=False):
            field = str(item["loc"][0])
            path = _path_in_value(values.get(field), item["loc"][1:])
            phrases = expected.setdefault(f"{field}{path}", [])
            if (phrase := _phrase(item)) not in phrases:
                phrases.append(phrase)
        for place, phrases in expected.items():
            field, bracket, path = place.partition("[")
            name = f"{field}=…" if field in overrides else cls.key(field)
            info = cls.model_fields[field]
            given = (
                describe(values[field], sensitive=_is_sensitive(info))
                if field in values
                else "nothing: the key is required"
            )
            yield ConfigProblem(
                f"{name}{bracket}{path}",
                " or ".join(phrases),
                given,
                cls._suggestion(
                    field, values.get(field), as_argument=field in overrides
                ),
            )

    @classmethod
    def _suggestion(cls, field: str, value: object, *, as_argument: bool) -> str:
        info = cls.model_fields[field]
        if (choice := closest_choice(value, info.annotation)) is not None:
            example: object = choice
        elif info.examples:
            example = info.examples[0]
        elif info.is_required() or info.default is None:
            return info.description or ""
        else:
            example = info.get_default(call_default_factory=True)
        left = f"{field}=" if as_argument else f"{cls.key(field)} = "
        return f"{left}{example!r}"


def _is_sensitive(info: FieldInfo) -> bool:
    marked = any(isinstance(item, Sensitive) for item in info.metadata)
    return marked or _mentions_secret(info.annotation)


def _mentions_secret(annotation: object) -> bool:
    if isinstance(annotation, type):
        return issubclass(annotation, pydantic.SecretStr | pydantic.SecretBytes)
    if any(isinstance(item, Sensitive) for item in t.get_args(annotation)):
        return True
    return any(_mentions_secret(argument) for argument in t.get_args(annotation))


def _path_in_value(value: object, loc: cabc.Iterable[int | str]) -> str:
    """Return the part of a location inside the value, without union members."""
    path = ""
    for step in loc:
        if isinstance(value, cabc.Mapping) and step in value:
            value = t.cast("cabc.Mapping[t.Any, t.Any]", value)[step]
        elif isinstance(step, int) and isinstance(value, list | tuple):
            items = t.cast("cabc.Sequence[t.Any]", value)
            value = items[step] if step < len(items) else None
        else:
            break
        path += f"[{step!r}]"
    return path


def _phrase(item: pydantic_core.ErrorDetails) -> str:
    if item["type"] == "missing":
        return "a value"
    if item["type"].startswith("time_delta"):
        return "a number of seconds, or a timedelta"
    if item["type"] == "tuple_type":
        return "a list or tuple"
    message = item["msg"]
    for start in ("Value error, ", "Assertion failed, ", "Input should be "):
        message = message.removeprefix(start)
    # The parser's own message follows a comma and adds nothing for a reader.
    return message.split(", unable to parse")[0]

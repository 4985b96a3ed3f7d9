"""The commands ``flask config show`` and ``flask config env``."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import shutil
import sys
import textwrap
import typing as t
from pathlib import Path

import click

from flaskware_core._installed import installed_on
from flaskware_core._settings.app import CoreSettings
from flaskware_core._settings.base import Settings
from flaskware_core._settings.redact import redacted
from flaskware_core._settings.redact import Verbatim
from flaskware_core._settings.sources import Source
from flaskware_core._settings.sources import Sources

if t.TYPE_CHECKING:
    from flask.cli import ScriptInfo
    from flask.sansio.app import App

_WIDTH = 80


# Of Flask's own keys, those that differ from one machine to another.
_OF_FLASK = {
    "SECRET_KEY": "Signs CSRF tokens, cursors and cookies; the same for all workers.",
    "SECRET_KEY_FALLBACKS": "Older keys, as a list: what they signed stays valid.",
    "TRUSTED_HOSTS": "The hosts that the app is served at, as a list.",
    "MAX_CONTENT_LENGTH": "The longest body of a request, in bytes.",
}


class _Shown(t.NamedTuple):
    extension: str
    key: str
    value: object
    source: Source
    about: str = ""
    is_secret: bool = False


@click.group("config")
def config_commands() -> None:
    """Look at the settings of the extensions."""


@config_commands.command("show")
@click.argument("extensions", nargs=-1)
@click.option("--set", "only_set", is_flag=True, help="Leave out what has its default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def show(
    ctx: click.Context, extensions: tuple[str, ...], *, only_set: bool, as_json: bool
) -> None:
    """Print every setting of the EXTENSIONS, or of all: its value and its source.

    The source is the environment, a file, a line of code, an argument of the extension,
    or the default. A secret is never printed.
    """
    app, sources = _load(ctx)
    found = [
        item
        for item in _settings_of(app, sources, extensions)
        if not only_set or item.source.kind != "default"
    ]
    if as_json:
        click.echo(json.dumps([_as_dict(item) for item in found], indent=2))
    else:
        _print(found)


@config_commands.command("env")
@click.argument("extensions", nargs=-1)
@click.option("--prefix", default="FLASK", show_default=True, help="Of the variables.")
@click.pass_context
def env(ctx: click.Context, extensions: tuple[str, ...], prefix: str) -> None:
    """Print a .env.example: a variable for each setting of the EXTENSIONS, or of all.

    A setting of the environment is there with its value, but a secret without it. The
    rest is commented out, with its default. Settings that only code can give are left
    out.
    """
    app, sources = _load(ctx)
    before = ""
    of_flask = () if extensions else _settings_of_flask(app, sources)
    for item in (*of_flask, *_settings_of(app, sources, extensions)):
        value = "" if item.is_secret else _as_variable(item.value)
        if value is None:
            continue
        if item.extension != before:
            click.echo(f"{chr(10) if before else ''}## {item.extension}")
            before = item.extension
        for line in textwrap.wrap(item.about, _WIDTH - len("# ")):
            click.echo(f"# {line}")
        is_set = item.source.kind in {"environment", "file"}
        click.echo(f"{'' if is_set else '#'}{prefix}_{item.key}={value}")


def _load(ctx: click.Context) -> tuple[App, Sources]:
    sources = Sources()
    # The app is not loaded yet where the command comes from the entry point.
    with sources.recording():
        app = t.cast("ScriptInfo", ctx.find_root().obj).load_app()
    return app, sources


def _settings_of(
    app: App, sources: Sources, extensions: tuple[str, ...]
) -> cabc.Iterator[_Shown]:
    """Yield the settings of the named extensions, or of all.

    :raises click.BadParameter: if the app lacks one of them.
    """
    known = ["core", *installed_on(app)]
    for name in extensions:
        if name not in known:
            raise click.BadParameter(
                f"the app has no extension {name!r}; it has: {', '.join(known)}"
            )
    core = CoreSettings.from_config(app.config)
    read: list[tuple[str, Settings, cabc.Mapping[str, t.Any]]] = [("core", core, {})]
    read += [
        (item.name, item.settings, item.overrides)
        for item in installed_on(app).values()
    ]
    for name, settings, overrides in read:
        if extensions and name not in extensions:
            continue
        for field, info in type(settings).model_fields.items():
            key = settings.key(field)
            if field in overrides:
                source = Source("argument", f"{field}=…")
            elif key in app.config:
                source = sources.of(app.config, key)
            else:
                source = Source("default")
            # A default is in the documentation, and no secret.
            sensitive = source.kind != "default" and settings.is_sensitive(field)
            value = redacted(getattr(settings, field), sensitive=sensitive)
            about = info.description or ""
            yield _Shown(name, key, value, source, about, sensitive)


def _settings_of_flask(app: App, sources: Sources) -> cabc.Iterator[_Shown]:
    for key, about in _OF_FLASK.items():
        value = t.cast("object", app.config[key])
        is_secret = key.startswith("SECRET") and value is not None
        source = sources.of(app.config, key)
        yield _Shown("flask", key, redacted(value), source, about, is_secret)


def _as_variable(value: object) -> str | None:
    """Return a redacted value as Flask reads it from the environment.

    :return: None for an object that only code can make, and nothing for a secret.
    """
    if isinstance(value, Verbatim):
        return "" if "hidden" in value else None
    if not isinstance(value, str):
        return json.dumps(value)
    try:
        json.loads(value)
    except ValueError:
        return value
    # Flask would read a number, or whatever else it is.
    return f"'{json.dumps(value)}'"


def _as_dict(item: _Shown) -> dict[str, object]:
    return {
        "extension": item.extension,
        "key": item.key,
        "value": item.value,
        "source": item.source.kind,
        "place": item.source.place,
    }


def _print(found: cabc.Iterable[_Shown]) -> None:
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else _WIDTH
    before = ""
    for item in found:
        if item.extension != before:
            click.echo(f"{chr(10) if before else ''}{item.extension}")
            before = item.extension
        text = f"  {item.key} = {item.value!r}"
        source = f"# {_said(item.source)}"
        if len(text) + 2 + len(source) <= width:
            click.echo(f"{text}  {source}")
            continue
        for line in (text, f"      {source}"):
            wrapped = textwrap.wrap(
                line, width, subsequent_indent=" " * 6, break_on_hyphens=False
            )
            click.echo("\n".join(wrapped))


def _said(source: Source) -> str:
    place = source.place.removeprefix(f"{Path.cwd()}{os.sep}")
    return f"{source.kind}: {place}" if place else source.kind

"""Where each key of an app's config comes from, recorded while the app is made.

A config is a dict: it keeps no trace of what set a key. So Flask's own methods are
replaced by methods that take a note, while `flask config show` loads the app, and in no
other process. A class in ``Flask.config_class`` would miss apps that have their own.
"""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import os
import typing as t
from pathlib import Path

import flask

from flaskware_core._errors import caller

Kind: t.TypeAlias = t.Literal[
    "default", "argument", "app.config", "environment", "file"
]


class Source(t.NamedTuple):
    """Where a value comes from.

    :param place: The variable of the environment, the file, or the line of code, as far
        as it is known.
    """

    kind: Kind
    place: str = ""


class Sources:
    """The sources of every config that was filled in :meth:`recording`."""

    def __init__(self) -> None:
        # The config is kept too: no other can get its id.
        self._found: dict[int, tuple[flask.Config, dict[str, Source]]] = {}
        self._file: Source | None = None

    def of(self, config: cabc.Mapping[str, t.Any], key: str) -> Source:
        """Return the source of a key that is in a config."""
        source = Source("app.config")
        if id(config) in self._found:
            source = self._found[id(config)][1].get(key, source)
        return source

    @contextlib.contextmanager
    def recording(self) -> cabc.Generator[None]:
        """Record what fills a config, until the end of the ``with`` block."""
        replaced = {
            "__setitem__": self._item,
            "setdefault": self._default,
            "update": self._update,
            "from_pyfile": self._from_file,
            "from_file": self._from_file,
            "from_prefixed_env": self._from_environment,
        }
        own = vars(flask.Config)
        before = {name: own[name] for name in replaced if name in own}
        for name, wrapped in replaced.items():
            setattr(flask.Config, name, wrapped(getattr(flask.Config, name)))
        try:
            yield
        finally:
            for name in replaced:
                if name in before:
                    setattr(flask.Config, name, before[name])
                else:
                    delattr(flask.Config, name)

    def _note(
        self,
        config: flask.Config,
        keys: cabc.Iterable[str],
        source: Source | None = None,
    ) -> None:
        _, found = self._found.setdefault(id(config), (config, {}))
        source = source or self._file
        # The methods of a config that stand between are of Flask or Quart.
        source = source or Source("app.config", caller("flask.", "quart."))
        found.update(dict.fromkeys(keys, source))

    def _item(self, original: t.Any) -> t.Any:
        def set_item(config: flask.Config, key: str, value: object) -> None:
            self._note(config, [key])
            original(config, key, value)

        return set_item

    def _default(self, original: t.Any) -> t.Any:
        def setdefault(config: flask.Config, key: str, *value: object) -> object:
            if key not in config:
                self._note(config, [key])
            return original(config, key, *value)

        return setdefault

    def _update(self, original: t.Any) -> t.Any:
        def update(config: flask.Config, *mappings: t.Any, **values: object) -> None:
            self._note(config, dict(*mappings, **values))
            original(config, *mappings, **values)

        return update

    def _from_file(self, original: t.Any) -> t.Any:
        def from_file(
            config: flask.Config, filename: t.Any, *args: t.Any, **kwargs: t.Any
        ) -> bool:
            self._file = Source("file", str(Path(config.root_path, filename)))
            try:
                found: bool = original(config, filename, *args, **kwargs)
            finally:
                self._file = None
            return found

        return from_file

    def _from_environment(self, original: t.Any) -> t.Any:
        def from_prefixed_env(
            config: flask.Config, prefix: str = "FLASK", **kwargs: t.Any
        ) -> bool:
            found: bool = original(config, prefix, **kwargs)
            for name in sorted(os.environ):
                if name.startswith(f"{prefix}_"):
                    # A double underscore leads to an item inside of the value.
                    key = name.removeprefix(f"{prefix}_").partition("__")[0]
                    self._note(config, [key], Source("environment", name))
            return found

        return from_prefixed_env

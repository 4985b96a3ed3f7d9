"""Config keys from the environment, and from the files that it names."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import typing as t
from pathlib import Path

from .problems import ConfigError
from .problems import ConfigProblem

if t.TYPE_CHECKING:
    import flask

_SUFFIX = "_FILE"
# Read by the `flask` command, which loads variables from it.
_OF_FLASK = frozenset({"ENV_FILE"})


def from_environment(config: flask.Config, prefix: str = "FLASK") -> None:
    """Set config keys from the environment, and from the secret files that it names.

    ``FLASK_SESSION_STORE`` sets ``SESSION_STORE``, as with
    :meth:`flask.Config.from_prefixed_env`. ``FLASK_SECRET_KEY_FILE=/run/secrets/key``
    sets ``SECRET_KEY`` to what is in that file, which is how Docker and Kubernetes hand
    over secrets. A list or mapping in a file is read as JSON, everything else is text.
    A line end at the end of the file does not count.

    :param config: The app's config, ``app.config``.
    :param prefix: The start of the variables, without its underscore.
    :raises ConfigError: if a file cannot be read, or if both variables are set. It
        lists every such variable.
    """
    config.from_prefixed_env(prefix)
    problems: list[ConfigProblem] = []
    for variable, place in sorted(os.environ.items()):
        key = variable.removeprefix(f"{prefix}_")
        if key == variable or not key.endswith(_SUFFIX) or key in _OF_FLASK:
            continue
        config.pop(key, None)
        named = key.removesuffix(_SUFFIX)
        direct = variable.removesuffix(_SUFFIX)
        if "__" in key:
            whole = f"{direct.partition('__')[0]}{_SUFFIX}"
            problems.append(
                ConfigProblem(
                    variable, "a file for the whole mapping", "a file for one item",
                    f"{whole}, with the mapping as JSON in the file",
                )
            )  # fmt: skip
            continue
        if direct in os.environ:
            problems.append(
                ConfigProblem(
                    f"{direct} and {variable}", "one of them", "both", f"unset {direct}"
                )
            )
            continue
        try:
            # The method, so that `flask config show` can name the file.
            config.from_file(
                str(Path(place).absolute()),
                load=_loader(named),
            )
        except (OSError, UnicodeDecodeError) as error:
            # Flask has written its own text over that of the system.
            number = getattr(error, "errno", None)
            reason = "not UTF-8" if number is None else os.strerror(number)
            problems.append(
                ConfigProblem(
                    variable, "the path of a text file", f"{place!r}: {reason}"
                )
            )
    if problems:
        raise ConfigError("the environment", problems)


def _loader(key: str) -> cabc.Callable[[t.IO[str]], dict[str, object]]:
    return lambda file: {key: _parsed(file.read())}


def _parsed(text: str) -> object:
    """Return the JSON list or mapping in a text, or the text.

    A number stays text: a password or key may have nothing but digits.
    """
    text = text.removesuffix("\n").removesuffix("\r")
    if text[:1] in {"[", "{"}:
        try:
            return t.cast("object", json.loads(text))
        except ValueError:
            pass
    return text

"""Elements for an app's static files: ``static_script()`` and ``static_style()``."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t
from pathlib import Path

import pydantic
from flask.sansio.app import App
from markupsafe import Markup
from werkzeug.security import safe_join

from flaskware_core import ConfigError
from flaskware_core import ConfigProblem

from .integrity import FileHashes
from .integrity import IntegrityError
from .integrity import Manifest
from .integrity import read_manifest

_SCRIPT = Markup("<script{}></script>")
_LINK = Markup("<link{}>")
_PAIR = Markup(' {}="{}"')
_FLAG = Markup(" {}")


@dc.dataclass(frozen=True)
class StaticFiles:
    """The static files of an app and their hashes.

    :param app: A weak reference to the app, which holds this object indirectly.
    :param manifest: Hashes made at build time; without it, files are hashed on use.
    :param nonce: Returns the request's nonce, or ``None`` if its policy takes none.
    """

    app: cabc.Callable[[], App | None]
    manifest: Manifest | None
    nonce: cabc.Callable[[], str | None]
    hashes: FileHashes = dc.field(default_factory=FileHashes)

    def script(
        self, filename: str, *, endpoint: str = "static", **attributes: str | bool
    ) -> Markup:
        """Return a ``<script>``; see :meth:`SecureHeaders.static_script`."""
        given = {"src": self.url(filename, endpoint=endpoint)}
        return _SCRIPT.format(self._attributes(filename, endpoint, given, attributes))

    def style(
        self, filename: str, *, endpoint: str = "static", **attributes: str | bool
    ) -> Markup:
        """Return a ``<link rel="stylesheet">``; see :meth:`script`."""
        given = {"rel": "stylesheet", "href": self.url(filename, endpoint=endpoint)}
        return _LINK.format(self._attributes(filename, endpoint, given, attributes))

    def url(self, filename: str, *, endpoint: str = "static") -> str:
        """Return the address of a static file, which changes with its content."""
        version = self.integrity(filename, endpoint=endpoint)
        # Only the characters of the hash that a query need not quote.
        short = "".join(c for c in version.partition("-")[2] if c.isalnum())[:12]
        return str(self._app.url_for(endpoint, filename=filename, v=short))

    def integrity(self, filename: str, *, endpoint: str = "static") -> str:
        """Return the ``integrity`` of a static file.

        :raises IntegrityError: if the file is not there, or not in the manifest.
        """
        if self.manifest is not None:
            found = self.manifest.get(endpoint, {}).get(filename)
            if found is None:
                raise IntegrityError(
                    f"The manifest has no {filename!r} of the endpoint {endpoint!r}."
                    " Run `flask secure manifest` where the app is built."
                )
            return found
        folder = static_folders(self._app).get(endpoint)
        path = None if folder is None else safe_join(str(folder), filename)
        if path is None:
            raise IntegrityError(
                f"{filename!r} is not a static file of the endpoint {endpoint!r}."
            )
        return self.hashes.of(Path(path))

    @property
    def _app(self) -> t.Any:  # Flask or Quart; only these have url_for
        return self.app()

    def _attributes(
        self,
        filename: str,
        endpoint: str,
        given: dict[str, str],
        attributes: cabc.Mapping[str, str | bool],
    ) -> Markup:
        pairs: dict[str, str | bool] = {
            **given,
            "integrity": self.integrity(filename, endpoint=endpoint),
            # Integrity-Policy blocks whatever was fetched without CORS.
            "crossorigin": "anonymous",
            **attributes,
        }
        nonce = self.nonce()
        if nonce is not None:
            pairs["nonce"] = nonce
        return Markup().join(
            (_FLAG if value is True else _PAIR).format(
                name.rstrip("_").replace("_", "-"), value
            )
            for name, value in pairs.items()
            if value is not False
        )


def static_folders(app: App) -> dict[str, Path]:
    """Return the static folders of an app and its blueprints, by endpoint."""
    folders: dict[str, Path] = {}
    if app.static_folder is not None:
        folders["static"] = Path(app.static_folder)
    for name, blueprint in app.blueprints.items():
        if blueprint.static_folder is not None:
            folders[f"{name}.static"] = Path(blueprint.static_folder)
    return folders


def load_manifest(app: App, name: str | None) -> Manifest | None:
    """Read the manifest that the settings name.

    :raises ConfigError: if it cannot be read.
    """
    if name is None:
        return None
    path = Path(app.root_path, name)
    try:
        return read_manifest(path)
    except (OSError, ValueError) as error:
        problem = ConfigProblem(
            "SECURE_MANIFEST",
            f"a manifest of static files ({_cause(error)} in {path})",
            repr(name),
            "flask secure manifest, before it is set",
        )
        raise ConfigError("flaskware-secure", [problem]) from None


def _cause(error: OSError | ValueError) -> str:
    if not isinstance(error, pydantic.ValidationError):
        return type(error).__name__
    first = error.errors(include_url=False, include_input=False)[0]
    place = " of ".join(map(repr, reversed(first["loc"])))
    return f"{place}: {first['msg'].removeprefix('Value error, ')}"

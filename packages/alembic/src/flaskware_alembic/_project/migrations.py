"""State of an app: its trees of revisions, and the databases that they move."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import html
import logging
import typing as t
from pathlib import Path

import flask
from flask.sansio.app import App

from flaskware_alembic._databases.database import Source
from flaskware_alembic._databases.errors import is_missing
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._settings import AlembicSettings
from flaskware_core import attach
from flaskware_core import current_app_object
from flaskware_core import framework_of
from flaskware_core import is_async
from flaskware_core import request_getter

from .trees import discover
from .trees import TreeSpec

if t.TYPE_CHECKING:
    from flaskware_alembic._autogenerate.comparison import Hooks
    from flaskware_alembic._results import Status
    from flaskware_alembic._revisions.tree import Tree

    from .selection import Selection

_log = logging.getLogger("flaskware.alembic")


@dc.dataclass(eq=False)
class Migrations:
    """Everything that is kept for an app.

    :param directory: The folder of the app's own revisions.
    :param more: Further folders of them.
    :param source: The origin of engines and metadata.
    :param registered: Trees that the app registered, by name.
    :param functions: Functions of the user for a comparison, by Alembic's names.
    """

    directory: Path
    more: tuple[Path, ...]
    settings: AlembicSettings
    source: Source
    registered: cabc.Mapping[str, TreeSpec]
    functions: cabc.Mapping[str, t.Any] = dc.field(default_factory=dict[str, t.Any])

    def __post_init__(self) -> None:
        self._discovered: list[TreeSpec] | None = None
        self._trees: dict[tuple[str | None, str | None], Tree] = {}

    def selection(self) -> Selection:
        """Return every tree with its database; needs an app context.

        :raises MigrationError: if engines or metadata are missing.
        """
        # A worker that only makes the app loads no Alembic.
        from .selection import Selection

        source = self.source.found_in(current_app_object().extensions)
        return Selection.of(self, self.settings, source.databases(), self._specs())

    @property
    def hooks(self) -> Hooks:
        """The functions of the user for a comparison."""
        from flaskware_alembic._autogenerate.comparison import Hooks

        return Hooks(**self.functions)

    @property
    def is_async(self) -> bool:
        """True if a database is reached by an async driver."""
        if self.source.found_in(current_app_object().extensions).is_async:
            return True
        return any(spec.is_async for spec in self._specs())

    def tree(self, bind: str | None, spec: TreeSpec | None = None) -> Tree:
        """Return the revisions of a database: the app's own, or those of a package."""
        from flaskware_alembic._revisions.tree import Tree

        key = (bind, spec.name if spec else None)
        tree = self._trees.get(key)
        if tree is None or (spec is not None and tree.folder != spec.path):
            tree = (
                Tree.find(bind, self.directory, self.more)
                if spec is None
                else Tree(bind, spec.path, name=spec.name)
            )
            self._trees[key] = tree
        return tree

    def forget(self) -> None:
        """Forget every file, so that it is read again when it is next needed."""
        self._trees.clear()

    def _specs(self) -> list[TreeSpec]:
        if self._discovered is None:
            app = current_app_object()
            self._discovered = discover(app) if self.settings.discover else []
        by_name = {spec.name: spec for spec in self._discovered} | {**self.registered}
        return list(by_name.values())


def find_folders(app: App, settings: AlembicSettings) -> tuple[Path, tuple[Path, ...]]:
    """Return the folder of an app's revisions, and further folders of them."""
    root, directory, more = Path(app.root_path), settings.directory, list[Path]()
    # Flask-Alembic's own key: a folder, and further folders that may have a name.
    theirs = t.cast("dict[str, t.Any]", app.config.get("ALEMBIC") or {})
    if "directory" not in settings.model_fields_set:
        directory = Path(theirs.get("script_location", directory))
        for item in theirs.get("version_locations", ()):
            more.append(root / (item if isinstance(item, str) else item[1]))
    found = root / directory
    # Flask-Migrate keeps it in the folder that `flask` is run in, which for an app
    # that is a package is the one above.
    above = root.parent / directory
    if not found.exists() and (above / "env.py").is_file():
        found = above
    return found, tuple(more)


def watch_requests(app: App, status: cabc.Callable[[], Status]) -> None:
    """Explain a request that fails for want of a table or column.

    The log gets a line, and the error a note, which its traceback shows in the log and
    in the debugger.

    :param status: Returns the status of the databases, without the models.
    """

    def explain(_: object, exception: BaseException, **__: object) -> None:
        found = _cause(exception)
        if found is None:
            return
        behind = _behind(app, status)
        if behind is not None:
            hint = f"{behind.what}: run `{behind.command}`."
            exception.add_note(hint)
            _log.error("%s", hint)

    # Held by the app, for as long as it is there.
    framework_of(app).got_request_exception.connect(explain, app, weak=False)


def _cause(error: BaseException | None) -> BaseException | None:
    """Return the error of the database among the causes of another."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        if is_missing(error):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None


class _Behind(t.NamedTuple):
    """A lack of a database, the command against it, and if the app can serve."""

    what: str
    command: str
    can_serve: bool


def _behind(app: App, ask: cabc.Callable[[], Status]) -> _Behind | None:
    try:
        status = ask()
    except MigrationError:
        return None
    pending = [info for bind in status.binds for info in bind.pending]
    if not pending:
        return None
    more = f" and {len(pending) - 1} more" if len(pending) > 1 else ""
    contract = "" if not status.can_serve else " --contract"
    return _Behind(
        f"The database lacks revision {pending[0]}{more}",
        f"{'quart' if is_async(app) else 'flask'} db upgrade{contract}",
        status.can_serve,
    )


# Without styles, which the policy of an app may forbid.
_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>The database is behind</title>
  <link rel="icon" href="data:,">
</head>
<body>
  <main>
    <h1>The database is behind</h1>
    <p>{what}. Run this command, then load the page again:</p>
    <pre tabindex="0"><code>{command}</code></pre>
    <p>Only an app in debug mode shows this page.</p>
  </main>
</body>
</html>
"""


def answer_while_behind(app: App, status: cabc.Callable[[], Status]) -> None:
    """Answer requests with the command to run, as long as a database is behind.

    For an app in debug mode. Once nothing is pending, no request asks again.

    :param status: Returns the status of the databases, without the models.
    """
    is_current = False
    request_of = request_getter(app)
    # The response class of either framework takes the same arguments.
    response = t.cast("flask.Flask", app).response_class

    def answer() -> flask.Response | None:
        nonlocal is_current
        request = request_of()
        if is_current or app.testing or request.endpoint == "static":
            return None
        behind = _behind(app, status)
        if behind is None or behind.can_serve:
            is_current = True
            return None
        if request.accept_mimetypes.accept_html:
            what = html.escape(behind.what)
            page = _PAGE.format(what=what, command=behind.command)
            return response(page, 503)
        text = f"{behind.what}: run `{behind.command}`.\n"
        return response(text, 503, content_type="text/plain")

    attach(app, "before_request", answer, blocking=True)

"""The revisions of one database, as the files of a folder."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import functools
import re
import shutil
import types
import typing as t
from pathlib import Path

import alembic.util
from alembic.script import Script
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.script.revision import RevisionMap

from flaskware_alembic._backfill import Backfill
from flaskware_alembic._errors import MigrationError
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._errors import SeveralHeads
from flaskware_alembic._errors import UnknownRevision
from flaskware_alembic._results import RevisionInfo

from .revision import describe_script
from .revision import load_scripts
from .revision import revision_files
from .revision import SourceFunction
from .revision import SourceScript

_TEMPLATES = Path(__file__).parents[1] / "templates"
_FILE_NAME = "%(year)d%(month).2d%(day).2d_%(rev)s_%(slug)s"
_Signature: t.TypeAlias = tuple[tuple[str, int, int], ...]


@dc.dataclass(frozen=True)
class _Loaded:
    signature: _Signature
    scripts: ScriptDirectory
    ids: frozenset[str]
    contracted_by: dict[str, str]

    @functools.cached_property
    def filling(self) -> tuple[SourceScript, ...]:
        """The files that may have a backfill, the oldest first."""
        scripts = t.cast("cabc.Iterable[SourceScript]", self.scripts.walk_revisions())
        return tuple(script for script in scripts if script.header.has_backfills)[::-1]


class Tree:
    """The revisions of one database.

    :param bind: The database, ``None`` for the default database.
    :param folder: Where the files are; it need not exist yet.
    :param name: The extension or blueprint that brings them, ``None`` for the app.
    :param is_shared: Whether a file upgrades several databases by their names.
    :param more: Further folders that are read, and not written to.
    """

    def __init__(
        self,
        bind: str | None,
        folder: Path,
        *,
        name: str | None = None,
        is_shared: bool = False,
        more: tuple[Path, ...] = (),
    ) -> None:
        self.bind = bind
        self.is_shared = is_shared
        self._folders = (folder, *more)
        self.name = name
        self.folder = folder
        # Loading runs every file, so it is done again only when a file changed.
        self._loaded: _Loaded | None = None
        self._is_held = False

    @classmethod
    def find(
        cls, bind: str | None, directory: Path, more: tuple[Path, ...] = ()
    ) -> Tree:
        """Return the tree of a database below the directory of an app.

        A directory that Alembic's or Flask-Migrate's ``init`` made keeps the default
        database's revisions in ``versions``. If it was made for several databases, a
        file upgrades each of them by its name.

        :param more: Further folders of the default database's revisions.
        """
        folder, is_shared = directory, False
        if _keeps_versions(folder):
            folder /= "versions"
        if not (directory / str(bind)).is_dir():
            is_shared = _is_shared(directory, folder)
        if bind is None or is_shared:
            return cls(bind, folder, is_shared=is_shared, more=more)
        folder = directory / bind
        if _keeps_versions(folder):
            folder /= "versions"
        return cls(bind, folder)

    @property
    def scripts(self) -> ScriptDirectory:
        """The files as Alembic sees them.

        :raises RevisionFileError: if they cannot be used as they are.
        """
        return self._fresh().scripts

    @property
    def heads(self) -> tuple[str, ...]:
        """The ids that no other revision follows."""
        return tuple(sorted(self.scripts.get_heads()))

    @property
    def ids(self) -> frozenset[str]:
        """The ids of every revision."""
        return self._fresh().ids

    def __contains__(self, id: str) -> bool:
        return id in self._fresh().ids

    @property
    def backfills(self) -> tuple[tuple[str, Backfill], ...]:
        """Every backfill with the id of its revision, the oldest first.

        :raises RevisionFileError: if a file that has one cannot be run.
        """
        return self.backfills_of()

    @property
    def may_fill(self) -> bool:
        """False if no file can have a backfill."""
        return bool(self._fresh().filling)

    def backfills_of(
        self, ids: cabc.Container[str] | None = None
    ) -> tuple[tuple[str, Backfill], ...]:
        """Return the backfills of some revisions, of all if ``None``."""
        return tuple(
            (script.revision, backfill)
            for script in self._fresh().filling
            if ids is None or script.revision in ids
            for backfill in script.backfills
        )

    @property
    def exists(self) -> bool:
        """True if there is a folder of revisions for this database itself."""
        return self.folder.is_dir()

    def arguments(self) -> dict[str, str]:
        """Return the arguments for the functions of a revision."""
        if not self.is_shared:
            return {}
        return {"engine_name": self.bind or self._default_name()}

    def bound(self, function: cabc.Callable[..., object]) -> cabc.Callable[..., object]:
        """Return a function of a revision that is called with what it takes.

        Where a file upgrades several databases by name, a function that takes no name
        is for the default database.
        """
        name = self.arguments().get("engine_name", self.bind or "")

        def call(**_: object) -> object:
            found = function
            if isinstance(function, SourceFunction):
                found = function.loaded
            if _takes_name(found):
                return found(engine_name=name)
            if self.is_shared and self.bind is not None:
                return None
            return found()

        return functools.update_wrapper(call, function, updated=())

    def infos(self) -> list[RevisionInfo]:
        """Return every revision, the newest first."""
        return [self._info(script) for script in self.scripts.walk_revisions()]

    def info(self, id: str) -> RevisionInfo:
        """Return one revision, by its full id.

        :raises UnknownRevision: if no file defines it.
        """
        with self.named_errors(id):
            return self._info(self.scripts.get_revision(id))

    def resolves(self, target: str) -> bool:
        """True if a target names something in this tree."""
        try:
            return bool(self.scripts.get_revisions(target))
        except alembic.util.CommandError:
            return False

    def resolve(self, target: str) -> str:
        """Return the full id that a target means."""
        with self.named_errors(target):
            return str(self.scripts.get_revision(target).revision)

    def script(self, id: str) -> SourceScript:
        """Return a revision as Alembic has it."""
        with self.named_errors(id):
            return t.cast("SourceScript", self.scripts.get_revision(id))

    def function(self, id: str, name: str) -> cabc.Callable[..., object] | None:
        """Return a function of a revision, bound; ``None`` if there is no such.

        The file is imported when it is called.
        """
        function = getattr(self.script(id).module, name, None)
        return None if function is None else self.bound(function)

    @contextlib.contextmanager
    def named_errors(self, target: str) -> cabc.Generator[None]:
        """Turn Alembic's error about a target into our own."""
        try:
            yield
        except alembic.util.CommandError as error:
            message = str(error).rstrip(".")
            location = f"{target!r} in {self.folder}"
            if "ultiple head" in message:
                raise SeveralHeads(
                    f"{location} is not one revision: the heads are"
                    f" {', '.join(self.heads)}. Join them with `flask db merge`, or"
                    " name one."
                ) from error
            if "locate revision" in message or "No such revision" in message:
                known = ", ".join(self.heads) or "none, there are no files"
                raise UnknownRevision(
                    f"There is no revision {location}. Give an id, the start of one,"
                    f" `head` or `base`; the heads are: {known}."
                ) from error
            raise MigrationError(f"{location}: {message}.") from error

    def write(
        self,
        message: str,
        *,
        head: str | cabc.Sequence[str] = "head",
        rev_id: str | None = None,
        **content: t.Any,
    ) -> RevisionInfo:
        """Write a new revision file.

        :param content: ``upgrades``, ``downgrades`` and ``imports`` as code.
        """
        if rev_id is not None and rev_id in self:
            raise MigrationError(
                f"There is a revision {rev_id!r} already: {self.info(rev_id).path}."
                " Give another id, or none."
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        heads = list(head) if not isinstance(head, str) else head
        code: dict[str, t.Any] = {"upgrades": "", "downgrades": "", "imports": ""}
        with self.named_errors(str(head)):
            script = self.scripts.generate_revision(
                rev_id or alembic.util.rev_id(),
                _as_docstring(message),
                head=t.cast("t.Any", heads),
                **(code | content),
            )
        if script is None:
            raise MigrationError(f"The file of {message!r} was written and not found.")
        return self.info(script.revision)

    @property
    def archive_folder(self) -> Path:
        """The folder with the files of squashed revisions."""
        return self.folder / "squashed"

    @functools.cached_property
    def archive(self) -> Tree:
        """The squashed revisions, for databases half way through them."""
        folder = self.archive_folder
        return Tree(self.bind, folder, name=self.name, is_shared=self.is_shared)

    def write_first(self, message: str, id: str, **content: t.Any) -> RevisionInfo:
        """Write a first revision, which others may follow already."""
        code: dict[str, t.Any] = {"upgrades": "", "downgrades": "", "imports": ""}
        self.folder.mkdir(parents=True, exist_ok=True)
        # A folder of its own while it is written: those that follow it are orphans.
        alone = Tree(self.bind, self.archive_folder / "new", is_shared=self.is_shared)
        written = alone.write(message, head="base", rev_id=id, **(code | content))
        written.path.rename(self.folder / written.path.name)
        # Python has left its bytecode there.
        shutil.rmtree(alone.folder)
        return self.info(id)

    def _default_name(self) -> str:
        # Flask-Migrate calls the default database "", Flask-Alembic "default".
        scripts = t.cast("cabc.Iterable[SourceScript]", self.scripts.walk_revisions())
        has_default = any(
            "upgrade_default" in script.header.functions for script in scripts
        )
        return "default" if has_default else ""

    @contextlib.contextmanager
    def held(self) -> cabc.Generator[None]:
        """Look at the files once, for what asks of each revision."""
        before = self._is_held
        self._fresh()
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = before

    def _fresh(self) -> _Loaded:
        if self._is_held and self._loaded is not None:
            return self._loaded
        entries = [e for folder in self._folders for e in revision_files(folder)]
        files = [(entry.path, entry.stat()) for entry in entries]
        signature = tuple((path, st.st_mtime_ns, st.st_size) for path, st in files)
        loaded = self._loaded
        if loaded is None or loaded.signature != signature:
            self._loaded = loaded = self._load(signature)
        return loaded

    def _info(self, script: Script) -> RevisionInfo:
        by = self._fresh().contracted_by.get(script.revision)
        return describe_script(script, self.bind, self.name, by)

    def _load(self, signature: _Signature) -> _Loaded:
        own = self.folder.parent if self.folder.name == "versions" else self.folder
        is_theirs = (own / "script.py.mako").is_file()
        scripts = ScriptDirectory(
            own if is_theirs else _TEMPLATES,
            file_template=_FILE_NAME,
            version_locations=[str(folder) for folder in self._folders],
            messaging_opts={"quiet": True},
        )
        loaded = load_scripts(self._folders)
        scripts.revision_map = RevisionMap(lambda: loaded)
        try:
            scripts.get_heads()
        except RevisionError as error:
            # A circle of dependencies, or a label that two revisions have.
            raise RevisionFileError(f"{self.folder}: {error}") from error
        ids = frozenset(script.revision for script in loaded)
        by = {s.contracts: s.revision for s in loaded if s.contracts is not None}
        return _Loaded(signature, scripts, ids, by)


def _takes_name(function: cabc.Callable[..., object]) -> bool:
    code: types.CodeType | None = getattr(function, "__code__", None)
    count = 0 if code is None else code.co_argcount + code.co_kwonlyargcount
    return code is not None and "engine_name" in code.co_varnames[:count]


def _keeps_versions(folder: Path) -> bool:
    return (folder / "env.py").is_file() and (folder / "versions").is_dir()


def _is_shared(directory: Path, folder: Path) -> bool:
    """True if the revisions of a folder are for several databases by their names."""
    template = directory / "script.py.mako"
    files = [Path(entry.path) for entry in revision_files(folder)[:1]]
    if template.is_file():
        files.append(template)
    pattern = re.compile(r"^def upgrade\(engine_name\b", re.MULTILINE)
    return any(pattern.search(file.read_text("utf-8", "replace")) for file in files)


def _as_docstring(message: str) -> str:
    text = message.strip().replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'{text[:-1]}\\"' if text.endswith('"') else text

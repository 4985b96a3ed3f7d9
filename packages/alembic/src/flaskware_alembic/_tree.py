"""The revisions of one database, as the files of a folder."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import dataclasses as dc
import typing as t
from pathlib import Path

import alembic.util
from alembic.script import Script
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.script.revision import RevisionMap

from ._errors import MigrationError
from ._errors import RevisionFileError
from ._errors import SeveralHeads
from ._errors import UnknownRevision
from ._revision import describe_script
from ._revision import load_scripts
from ._revision import revision_files
from ._revision import RevisionInfo

_TEMPLATES = Path(__file__).parent / "templates"
_FILE_NAME = "%(year)d%(month).2d%(day).2d_%(rev)s_%(slug)s"
_Signature: t.TypeAlias = tuple[tuple[str, int, int], ...]


@dc.dataclass(frozen=True)
class _Loaded:
    signature: _Signature
    scripts: ScriptDirectory
    ids: frozenset[str]


class Tree:
    """The revisions of one database.

    :param bind: The database, ``None`` for the default one.
    :param folder: Where the files are; it need not exist yet.
    """

    def __init__(self, bind: str | None, folder: Path) -> None:
        self.bind = bind
        self.folder = folder
        # Loading runs every file, so it is done again only when a file changed.
        self._loaded: _Loaded | None = None

    @classmethod
    def find(cls, bind: str | None, directory: Path) -> Tree:
        """The tree of a database below the directory of an app.

        A directory that Alembic's or Flask-Migrate's ``init`` made keeps the default
        database's revisions in ``versions``.
        """
        folder = directory if bind is None else directory / bind
        if (folder / "env.py").is_file() and (folder / "versions").is_dir():
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

    def __contains__(self, id: str) -> bool:
        return id in self._fresh().ids

    def infos(self) -> list[RevisionInfo]:
        """Every revision, the newest first."""
        return [self._info(script) for script in self.scripts.walk_revisions()]

    def info(self, id: str) -> RevisionInfo:
        """One revision, by its full id.

        :raises UnknownRevision: if no file defines it.
        """
        with self.named_errors(id):
            return self._info(self.scripts.get_revision(id))

    def resolves(self, target: str) -> bool:
        """Whether a target names something in this tree."""
        try:
            return bool(self.scripts.get_revisions(target))
        except alembic.util.CommandError:
            return False

    @contextlib.contextmanager
    def named_errors(self, target: str) -> cabc.Generator[None]:
        """Turn Alembic's complaint about a target into an error of its own kind."""
        try:
            yield
        except alembic.util.CommandError as error:
            message = str(error).rstrip(".")
            place = f"{target!r} in {self.folder}"
            if "ultiple head" in message:
                raise SeveralHeads(
                    f"{place} is not one revision: the heads are"
                    f" {', '.join(self.heads)}. Join them with `flask db merge`, or"
                    " name one."
                ) from error
            if "locate revision" in message or "No such revision" in message:
                known = ", ".join(self.heads) or "none, there are no files"
                raise UnknownRevision(
                    f"There is no revision {place}. Give an id, the start of one,"
                    f" `head` or `base`; the heads are: {known}."
                ) from error
            raise MigrationError(f"{place}: {message}.") from error

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

    def _fresh(self) -> _Loaded:
        files = [(entry.name, entry.stat()) for entry in revision_files(self.folder)]
        signature = tuple((name, st.st_mtime_ns, st.st_size) for name, st in files)
        loaded = self._loaded
        if loaded is None or loaded.signature != signature:
            scripts, ids = self._load()
            self._loaded = loaded = _Loaded(signature, scripts, ids)
        return loaded

    def _info(self, script: Script) -> RevisionInfo:
        return describe_script(script, self.bind)

    def _load(self) -> tuple[ScriptDirectory, frozenset[str]]:
        own = self.folder.parent if self.folder.name == "versions" else self.folder
        is_theirs = (own / "script.py.mako").is_file()
        scripts = ScriptDirectory(
            own if is_theirs else _TEMPLATES,
            file_template=_FILE_NAME,
            version_locations=[str(self.folder)],
            messaging_opts={"quiet": True},
        )
        loaded = load_scripts(self.folder)
        scripts.revision_map = RevisionMap(lambda: loaded)
        try:
            scripts.get_heads()
        except RevisionError as error:
            # A circle of dependencies, or a label that two revisions have.
            raise RevisionFileError(f"{self.folder}: {error}") from error
        return scripts, frozenset(script.revision for script in loaded)


def _as_docstring(message: str) -> str:
    text = message.strip().replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'{text[:-1]}\\"' if text.endswith('"') else text

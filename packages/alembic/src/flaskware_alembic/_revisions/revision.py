"""Revision files, and the errors that they can have."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import graphlib
import importlib.util
import os
import re
import sys
import traceback
import types
import typing as t
from pathlib import Path

from alembic.script import Script
from alembic.script.revision import RevisionError

from flaskware_alembic._backfill import Backfill
from flaskware_alembic._backfill import backfills_in
from flaskware_alembic._errors import RevisionFileError
from flaskware_alembic._results import RevisionInfo

from .header import encoding_of
from .header import Header
from .header import read_header
from .header import read_source


def describe_script(
    script: Script,
    bind: str | None,
    tree: str | None = None,
    contracted_by: str | None = None,
) -> RevisionInfo:
    """Return the revision of a script of Alembic."""
    return RevisionInfo(
        id=script.revision,
        bind=bind,
        message=" ".join(script.doc.split()),
        down=_as_tuple(script.down_revision),
        path=Path(script.path),
        is_head=script.is_head,
        branch_labels=tuple(sorted(script.branch_labels)),
        depends_on=_as_tuple(script.dependencies),
        tree=tree,
        contracts=getattr(script, "contracts", None),
        contracted_by=contracted_by,
    )


def rewrite_file(path: Path, text: str) -> None:
    """Replace the file of a revision, and delete its bytecode.

    Bytecode is taken for fresh while the file has its size and its second.
    """
    encoding = encoding_of(path) if path.exists() else "utf-8"
    path.write_text(text, encoding)
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)


def revision_files(folder: Path) -> list[os.DirEntry[str]]:
    """Return the files of a folder that are revisions, in the order of their names.

    A name that starts with an underscore or a dot is a helper's, as is ``env.py``.
    """
    try:
        entries = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return []
    files = [
        entry
        for entry in entries
        if entry.name.endswith(".py")
        and entry.name[0] not in "._"
        and entry.name != "env.py"
    ]
    return sorted(files, key=lambda entry: entry.name)


def load_scripts(folders: cabc.Iterable[Path]) -> list[SourceScript]:
    """Read every revision of some folders, and import none.

    :raises RevisionFileError: naming the file, and the line where there is one, if
        one cannot be loaded or they do not fit together.
    """
    scripts = [
        _load(Path(entry.path))
        for folder in folders
        for entry in revision_files(folder)
    ]
    _refuse_duplicates(scripts)
    _refuse_missing_parents(scripts)
    _refuse_cycles(scripts)
    return scripts


def line_in(error: BaseException, path: Path) -> int | None:
    """Return the innermost line of a file that an exception passed through."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno
    if isinstance(error, RevisionFileError):
        return error.line
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return lines[-1] if lines else None


def location_of(error: BaseException, path: Path) -> str:
    """Return the file, and the line of it where an exception passed through."""
    return _location(path, line_in(error, path))


class SourceScript(Script):
    """A revision that is known by its source, and imported when it is run.

    :param header: The constants at the top of its file.
    :param loaded: The module of its file, if it is imported already.
    """

    def __init__(
        self, header: Header, path: Path, loaded: types.ModuleType | None = None
    ) -> None:
        self.header = header
        self._loaded = loaded
        self._refused: RevisionFileError | None = None
        stub: t.Any = types.SimpleNamespace(
            __doc__=header.doc or "",
            **{"branch_labels": None, "depends_on": None, **header.values},
        )
        super().__init__(stub, str(header.values["revision"]), path)
        # Alembic takes the functions of each step from it before any is called.
        self.module: t.Any = _Functions(self)

    @property
    def loaded(self) -> types.ModuleType:
        """The module of its file, imported at the first use.

        :raises RevisionFileError: naming the file and line, if it cannot be run.
        """
        if self._refused is not None:
            # A second try would find what it imports half made, and say that.
            raise self._refused
        if self._loaded is None:
            try:
                found = _imported(Path(self.path))
                _refuse_without_upgrade(found, Path(self.path))
            except RevisionFileError as error:
                self._refused = error
                raise
            self._loaded = found
        return self._loaded

    @property
    def backfills(self) -> list[Backfill]:
        """The backfills that its file declares.

        :raises RevisionFileError: if the file cannot be run.
        """
        return backfills_in(self.loaded) if self.header.has_backfills else []

    @property
    def doc(self) -> str:
        """The first paragraph of its docstring."""
        return re.split(r"\n\n", self.header.doc or "")[0]

    @property
    def contracts(self) -> str | None:
        """The revision that it completes."""
        return t.cast("str | None", self.header.values.get("contracts"))


class _Functions:
    """Stands for a module whose file is not imported yet."""

    def __init__(self, script: SourceScript) -> None:
        self._script = script
        self.__file__ = script.path

    def __getattr__(self, name: str) -> SourceFunction:
        if name not in self._script.header.functions:
            raise AttributeError(name=name, obj=self)
        return SourceFunction(self._script, name)


class SourceFunction:
    """A function of a revision, whose file is imported when it is needed."""

    def __init__(self, script: SourceScript, name: str) -> None:
        self._script = script
        self.__name__ = name

    @property
    def loaded(self) -> cabc.Callable[..., object]:
        """The function itself.

        :raises RevisionFileError: if the file cannot be run.
        """
        function: cabc.Callable[..., object] = getattr(
            self._script.loaded, self.__name__
        )
        return function

    def __call__(self, **arguments: t.Any) -> object:
        return self.loaded(**arguments)


def _load(path: Path) -> SourceScript:
    header = None
    try:
        header = read_header(read_source(path))
    except UnicodeError as error:
        why = (
            f" is not written in UTF-8: {error}. Save it in UTF-8, or name its encoding"
            " in its first line: `# coding: latin-1`."
        )
        raise _error(path, None, why) from error
    except SyntaxError as error:
        why = f" cannot be loaded: SyntaxError: {error.msg}"
        raise _error(path, error.lineno, why) from error
    if header is not None and header.is_whole and "upgrade" in header.functions:
        return _script_of(header, path)
    # Its constants are made by code, or its functions come from elsewhere.
    try:
        module = _imported(path)
    except RevisionFileError:
        if header is None or "upgrade" not in header.functions:
            raise
        # Its dependencies stay unknown; it is not applied before it can be run.
        return _script_of(header, path)
    return _script_of(_header_of(module), path, module)


def _header_of(module: types.ModuleType) -> Header:
    names = ("revision", "down_revision", "branch_labels", "depends_on", "contracts")
    return Header(
        module.__doc__,
        {name: getattr(module, name) for name in names if hasattr(module, name)},
        frozenset(vars(module)),
        has_backfills=True,
    )


def _imported(path: Path) -> types.ModuleType:
    name = re.sub(r"\W", "_", path.name)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise _error(path, None, " cannot be imported.")
    module = importlib.util.module_from_spec(spec)
    try:
        # Its output is no part of a report.
        with contextlib.redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except Exception as error:
        what = error.msg if isinstance(error, SyntaxError) else str(error)
        why = f" cannot be loaded: {type(error).__name__}: {what}"
        raise _error(path, line_in(error, path), why) from error
    return module


def _script_of(
    header: Header, path: Path, loaded: types.ModuleType | None = None
) -> SourceScript:
    revision: object = header.values.get("revision")
    if not isinstance(revision, str) or not revision:
        why = (
            " is no revision: it sets no `revision`. Put it elsewhere, or start its"
            " name with an underscore if it is a helper."
        )
        raise _error(path, None, why)
    if "down_revision" not in header.values:
        why = (
            " does not say what it follows. Write `down_revision = None` if it is the"
            " first, or else the id of its predecessor."
        )
        raise _error(path, None, why)
    if "upgrade" not in header.functions:
        raise _without_upgrade(path)
    if revision in _as_tuple(header.values["down_revision"]):
        why = (
            ": the revision follows itself. Write the id of its predecessor, or None if"
            " it is the first."
        )
        raise _error(path, _line_of(path, "down_revision"), why)
    try:
        return SourceScript(header, path, loaded)
    except RevisionError as error:
        raise _error(path, _line_of(path, "revision"), f": {error}.") from error


def _refuse_without_upgrade(module: object, path: Path) -> None:
    if not callable(getattr(module, "upgrade", None)):
        raise _without_upgrade(path)


def _without_upgrade(path: Path) -> RevisionFileError:
    why = " has no function `upgrade`. Write one, if only with `pass`."
    return _error(path, None, why)


def _refuse_duplicates(scripts: cabc.Iterable[SourceScript]) -> None:
    seen: dict[str, SourceScript] = {}
    for script in scripts:
        first = seen.setdefault(script.revision, script)
        if first is not script:
            raise RevisionFileError(
                f"Two files are revision {script.revision!r}: {first.path} and"
                f" {script.path}. Give one of them another id.",
                paths=(Path(first.path), Path(script.path)),
            )


def _refuse_missing_parents(scripts: cabc.Collection[SourceScript]) -> None:
    known = {script.revision for script in scripts}
    for script in scripts:
        known.update(script.branch_labels)
    for script in scripts:
        for name in ("down_revision", "depends_on"):
            for parent in _as_tuple(script.header.values.get(name)):
                # Alembic lets a dependency be named by the start of its id.
                if parent in known or (
                    name == "depends_on" and any(i.startswith(parent) for i in known)
                ):
                    continue
                path = Path(script.path)
                why = (
                    f": {name} is {parent!r}, and no file here is that revision."
                    " Restore the file, or name another revision."
                )
                raise _error(path, _line_of(path, name), why)


def _refuse_cycles(scripts: cabc.Collection[SourceScript]) -> None:
    by_id = {script.revision: script for script in scripts}
    graph = {
        id: [parent for parent in _as_tuple(script.down_revision) if parent in by_id]
        for id, script in by_id.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        # From a revision to its parent, the first not repeated at the end.
        cycle: list[str] = error.args[1][:0:-1]
        first = cycle.index(min(cycle))
        cycle = [*cycle[first:], *cycle[:first]]
        raise RevisionFileError(
            "Revisions follow each other in a circle: "
            + " after ".join(f"{id} ({by_id[id].path})" for id in cycle)
            + f" after {cycle[0]}. Fix the `down_revision` of one of them.",
            paths=tuple(Path(by_id[id].path) for id in cycle),
        ) from None


def _error(path: Path, line: int | None, why: str) -> RevisionFileError:
    """Return the error of a file; the reason follows its location."""
    message = f"{_location(path, line)}{why}"
    return RevisionFileError(message, paths=(path,), line=line)


def _line_of(path: Path, name: str) -> int | None:
    lines = read_source(path).splitlines()
    for number, line in enumerate(lines, start=1):
        if re.match(rf"{name}\b", line):
            return number
    return None


def _location(path: Path, line: int | None) -> str:
    return f"{path}:{line}" if line is not None else str(path)


def _as_tuple(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return (value,)
    return tuple(t.cast("cabc.Iterable[str]", value))

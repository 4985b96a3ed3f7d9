"""Hashes of the inline code in templates and pages, for a policy that allows it."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
from pathlib import Path

from flask.sansio.app import App

from flaskware_secure._policy.inline import inline_code
from flaskware_secure._policy.inline import InlineCode

_ENDINGS = frozenset({".htm", ".html", ".j2", ".jinja", ".jinja2", ".svg", ".xhtml"})


@dc.dataclass(frozen=True)
class Located:
    """Inline code of a file or page.

    :param file: The path of the file, or of the page.
    """

    file: str
    found: InlineCode

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON types; ``source`` is ``None`` if a template fills it in."""
        return {
            "file": self.file,
            "line": self.found.line,
            "where": self.found.where,
            "directive": self.found.directive,
            "code": self.found.code,
            "source": None if self.found.varies else self.found.source,
        }


def template_folders(app: App) -> list[Path]:
    """Return the template folders of an app and its blueprints that exist."""
    places = [
        Path(owner.root_path, owner.template_folder)
        for owner in (app, *app.blueprints.values())
        if owner.template_folder is not None
    ]
    return [folder for folder in dict.fromkeys(places) if folder.is_dir()]


def code_below(paths: cabc.Iterable[Path]) -> list[Located]:
    """Return the inline code of files, and of every template below folders.

    :raises OSError: if a file cannot be read.
    """
    found: list[Located] = []
    for path in paths:
        files = [path]
        if path.is_dir():
            files = sorted(f for f in path.rglob("*") if f.suffix.lower() in _ENDINGS)
        for file in files:
            text = file.read_text("utf-8", errors="replace")
            found.extend(Located(str(file), code) for code in inline_code(text))
    return found


def directives_for(found: cabc.Iterable[Located]) -> dict[str, tuple[str, ...]]:
    """Return the sources that allow the code, by directive, where a hash fits.

    Attributes take ``'unsafe-hashes'`` beside their hashes (CSP3, section 8.3).
    """
    sources: dict[str, dict[str, None]] = {}
    for each in found:
        if each.found.varies:
            continue
        chosen = sources.setdefault(each.found.directive, {})
        if each.found.directive.endswith("-attr"):
            chosen.setdefault("'unsafe-hashes'")
        chosen.setdefault(each.found.source)
    return {name: tuple(several) for name, several in sorted(sources.items())}

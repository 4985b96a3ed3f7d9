"""`{changes}`: the changelog of every package, with what is not released yet."""

from __future__ import annotations

import collections.abc as cabc
import re
import typing as t

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flaskware_tools.matrix import packages


class ChangesDirective(SphinxDirective):
    """Print the fragments of changes, then the released versions."""

    def run(self) -> list[nodes.Node]:
        parent = nodes.container()
        lines = StringList(list(self._lines()), source="changes")
        self.state.nested_parse(lines, 0, parent)
        return parent.children

    def _lines(self) -> cabc.Iterator[str]:
        for package in packages().values():
            fragments = sorted((package.folder / "changes").glob("*.md"))
            yield from (f"**{package.distribution} {package.version}**", "")
            for fragment in fragments:
                yield from (*fragment.read_text("utf-8").splitlines(), "")
            released = (package.folder / "CHANGES.md").read_text("utf-8")
            for line in released.splitlines():
                # A directive holds no sections.
                if not line.startswith(("# ", "<!--")):
                    yield re.sub(r"^#+ (.*)", r"**\1**", line)
            yield ""


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("changes", ChangesDirective)
    return {"parallel_read_safe": True}

"""`{settings} module.Class`: an extension's config keys, told by its own model."""

from __future__ import annotations

import importlib
import typing as t

from docutils import nodes
from docutils.statemachine import StringList
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from flaskware_core import Settings


class SettingsDirective(SphinxDirective):
    """List every key with its meaning, default and an example."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        module, _, name = self.arguments[0].rpartition(".")
        settings: type[Settings] = getattr(importlib.import_module(module), name)
        lines: list[str] = []
        for field, info in settings.model_fields.items():
            if not info.description:
                raise self.error(f"{name}.{field} has no description")
            # Values that a search finds by the name of the key.
            lines += [
                f":::{{confval}} {settings.key(field)}",
                f":default: {_default(info)}",
                "",
                f"{info.description}{_example(settings, field, info)}",
                ":::",
                "",
            ]
        if settings.replaced:
            lines += ["Keys of predecessors are refused with what to write:", ""]
            lines += [f"- `{key}`: `{text}`" for key, text in settings.replaced.items()]
        parent = nodes.container()
        self.state.nested_parse(StringList(lines, source=name), 0, parent)
        return parent.children


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "none, the key is required"
    return f"`{info.get_default(call_default_factory=True)!r}`"


def _example(settings: type[Settings], field: str, info: FieldInfo) -> str:
    if not info.examples:
        return ""
    return f" Example: `{settings.key(field)} = {info.examples[0]!r}`."


def setup(app: Sphinx) -> dict[str, t.Any]:
    app.add_directive("settings", SettingsDirective)
    return {"parallel_read_safe": True}

"""The JSON schema of a form as a browser sends it: one flat object of controls."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

from .node import Node
from .structures import Group

Schema: t.TypeAlias = dict[str, t.Any]


class FlatSchema:
    """The controls of a form as properties of one object.

    :param definitions: The schemas that references name.
    """

    def __init__(self, definitions: cabc.Mapping[str, Schema]) -> None:
        self.definitions = definitions
        self.properties: Schema = {}
        self.patterns: Schema = {}
        self.required: list[str] = []
        # The encoding in multipart of each property that needs one.
        self.encoding: Schema = {}

    def of(self, group: Group, schema: Schema) -> Schema:
        """Return the schema of a form, given that of its model as JSON."""
        FlatName(self).add_fields(group, schema)
        found: Schema = {"type": "object", "properties": self.properties}
        lists = {"required": self.required, "patternProperties": self.patterns}
        return {**found, **{name: each for name, each in lists.items() if each}}


@dc.dataclass(frozen=True)
class FlatName:
    """The name of a control in a schema, or the pattern of all names in rows."""

    flat: FlatSchema
    name: str = ""
    pattern: bool = False
    depth: int = 0

    def add(self, node: Node, schema: Schema) -> None:
        """Add a field under this name."""
        node.describe(self, self.resolve(schema))

    def add_fields(self, group: Group, schema: Schema) -> None:
        """Add each field of a model that stands here."""
        known = self.resolve(schema).get("properties", {})
        for child in group.children:
            self.child(child.key).add(child, known.get(child.key, {}))

    def child(self, key: str) -> FlatName:
        """A field of the model that stands here."""
        step = re.escape(key) if self.pattern else key
        dot = r"\." if self.pattern else "."
        name = f"{self.name}{dot}{step}" if self.name else step
        return dc.replace(self, name=name, depth=self.depth + 1)

    def entry(self) -> FlatName:
        """An entry of the list that stands here."""
        start = self.name if self.pattern else re.escape(self.name)
        return FlatName(self.flat, rf"{start}-\d+", pattern=True, depth=self.depth + 1)

    def put(self, schema: Schema, *, required: bool = False) -> None:
        """Put the schema of one control here.

        :param required: Whether a form without it is refused, if it is not nested.
        """
        if required and self.depth == 1:
            self.flat.required.append(self.name)
        if self.pattern:
            self._merge(self.flat.patterns, f"^{self.name}$", schema)
        else:
            self._merge(self.flat.properties, self.name, schema)

    def put_below(self, schema: Schema) -> None:
        """Put one schema for every longer name."""
        self._merge(self.flat.patterns, rf"^{re.escape(self.name)}\.", schema)

    def encode(self, encoding: Schema) -> None:
        """Set how the control is encoded; OpenAPI knows no patterns there."""
        if not self.pattern:
            self.flat.encoding[self.name] = encoding

    def resolve(self, schema: Schema) -> Schema:
        """A schema without its reference, and without ``null`` as an alternative."""
        options = [o for o in schema.get("anyOf", ()) if o != {"type": "null"}]
        if len(options) == 1:
            return self.resolve({**schema, "anyOf": [], **options[0]})
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            return self.resolve(self.flat.definitions[name])
        return {k: v for k, v in schema.items() if not (k == "anyOf" and not v)}

    @staticmethod
    def _merge(target: Schema, name: str, schema: Schema) -> None:
        before = target.get(name)
        if before is not None and before != schema:
            schema = {"anyOf": [before, schema]}
        target[name] = schema

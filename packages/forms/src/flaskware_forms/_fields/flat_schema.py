"""The JSON schema of a form as a browser sends it: one flat object of controls."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from .node import Node
from .structures import Group

Schema: t.TypeAlias = dict[str, t.Any]


@dc.dataclass
class Together:
    """Controls of a model that may be left out, but not in part."""

    outer: Together | None
    names: list[str] = dc.field(default_factory=list[str])
    required: list[str] = dc.field(default_factory=list[str])


@dc.dataclass
class Scope:
    """Controls that stand beside each other: of a form, or of one case of a union."""

    properties: Schema = dc.field(default_factory=dict[str, t.Any])
    required: list[str] = dc.field(default_factory=list[str])
    together: list[Together] = dc.field(default_factory=list[Together])
    unions: list[list[Schema | Scope]] = dc.field(
        default_factory=list["list[Schema | Scope]"]
    )

    def schema(self) -> Schema:
        """The schema of an object that has these controls."""
        found: Schema = {"type": "object", "properties": self.properties}
        if self.required:
            found["required"] = self.required
        needed: dict[str, set[str]] = {}
        for each in self.together:
            for name in each.names:
                needed.setdefault(name, set()).update(set(each.required) - {name})
        if any(needed.values()):
            found["dependentRequired"] = {k: sorted(v) for k, v in needed.items() if v}
        unions = [
            {"oneOf": [o.schema() if isinstance(o, Scope) else o for o in options]}
            for options in self.unions
        ]
        if len(unions) == 1:
            return {**found, **unions[0]}
        return {**found, "allOf": unions} if unions else found


class FlatSchema:
    """The controls of a form as properties of one object.

    :param definitions: The schemas that references name.
    """

    def __init__(self, definitions: cabc.Mapping[str, Schema]) -> None:
        self.definitions = definitions
        # The encoding in multipart of each property that needs one.
        self.encoding: Schema = {}
        # Sentences that no schema can say.
        self.notes: list[str] = []

    def of(self, group: Group, schema: Schema) -> Schema:
        """Return the schema of a form, given that of its model as JSON."""
        scope = Scope()
        FlatName(self, scope).add_fields(group, schema)
        found = scope.schema()
        return {"description": " ".join(self.notes), **found} if self.notes else found


@dc.dataclass(frozen=True)
class FlatName:
    """The name of a control, and the controls that it stands beside.

    :param together: The innermost model around it that may be left out.
    :param needed: Whether the model around it is not valid without it.
    """

    flat: FlatSchema
    scope: Scope
    name: str = ""
    together: Together | None = None
    needed: bool = True

    def add(self, node: Node, schema: Schema) -> None:
        """Add a field under this name."""
        node.describe(self, self.resolve(schema))

    def add_fields(self, group: Group, schema: Schema) -> None:
        """Add each field of a model that stands here."""
        found = self.resolve(schema)
        known, needed = found.get("properties", {}), found.get("required", ())
        for child in group.children:
            at = dc.replace(self.child(child.key), needed=child.key in needed)
            at.add(child, known.get(child.key, {}))

    def child(self, key: str) -> FlatName:
        """A field of the model that stands here."""
        return dc.replace(self, name=f"{self.name}.{key}" if self.name else key)

    def entry(self, index: int) -> FlatName:
        """A position of the tuple that stands here."""
        return dc.replace(self, name=f"{self.name}-{index}", needed=True)

    def first_row(self) -> FlatName:
        """The first entry of the list that stands here.

        A pattern of names would say more, but could not say which of them go together.
        """
        self.flat.notes.append(
            f"{self.name}-0 is the first of any number of rows; {self.name}-1 is next."
        )
        return dc.replace(self, name=f"{self.name}-0").optional()

    def optional(self) -> FlatName:
        """The same place, for a model that may be left out."""
        together = Together(self.together)
        self.scope.together.append(together)
        return dc.replace(self, together=together)

    def put(self, schema: Schema, *, required: bool = False) -> None:
        """Put the schema of one control here.

        :param required: Whether it may not be missing, if the model around it is there.
        """
        self.scope.properties[self.name] = schema
        if required:
            around = self.together or self.scope
            around.required.append(self.name)
        outer = self.together
        while outer is not None:
            outer.names.append(self.name)
            outer = outer.outer

    def put_cases(
        self, tag: str, cases: cabc.Mapping[str, tuple[Group, Schema]], optional: bool
    ) -> None:
        """Put the models of a union here, each with the value of its tag."""
        at = self.child(tag)
        at.put({"enum": list(cases)}, required=not optional)
        options: list[Schema | Scope] = []
        for value, (group, schema) in cases.items():
            case = Scope({at.name: {"const": value}}, [at.name])
            options.append(case)
            FlatName(self.flat, case, self.name).add_fields(group, schema)
        if optional or self.together:
            options.append({"not": {"required": [at.name]}})
        self.scope.unions.append(options)

    def encode(self, encoding: Schema) -> None:
        """Set how the control is encoded."""
        self.flat.encoding[self.name] = encoding

    def resolve(self, schema: Schema) -> Schema:
        """A schema without its reference, and without ``null`` as an alternative."""
        options = [o for o in schema.get("anyOf", ()) if o != {"type": "null"}]
        if len(options) == 1:
            return self.resolve({**schema, "anyOf": [], **options[0]})
        found = {**schema, "anyOf": options}
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            found = {**found, **self.resolve(self.flat.definitions[name])}
            del found["$ref"]
        if not found["anyOf"]:
            del found["anyOf"]
        # A form has no null: it leaves the control out, or blank.
        if found.get("default", 0) is None:
            del found["default"]
        return found

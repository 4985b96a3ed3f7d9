"""Fields of a union of models, told apart by a discriminator."""

from __future__ import annotations

import dataclasses as dc
import functools
import typing as t

from flaskware_forms._body.decoder import ABSENT
from flaskware_forms._body.decoder import FormTree
from flaskware_forms._errors.error import Path
from flaskware_forms._schema.values import fields_in
from flaskware_forms._schema.values import look_up

from .builder import Builder
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .choice import Offer
from .group import Group
from .node import Node
from .node import Unoffered

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema
    from .place import Place


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One model of a union, and the value of the discriminator that stands for it."""

    choice: Offer
    step: str
    """The step before its fields in the name of a control, so that the controls of two
    models never have the same name."""

    group: Group


class VariantsBuilder(FieldsetBuilder["Variants"]):
    """A radio button for each model, and its fields below."""

    kind = "union"
    input_kind = "radio"

    def prepare(self) -> None:
        self._tag = self.names.child(self.node.tag).name
        self._fields: dict[str, dict[str, Builder[t.Any]]] = {}

    @functools.cached_property
    def _frames(self) -> list[tuple[Case, str, str, str]]:
        found: list[tuple[Case, str, str, str]] = []
        for index, case in enumerate(self.node.cases):
            text, label = case.choice.text, case.choice.label
            start, end = self.option(index, self._tag, text, label)
            before, between, after = self.context.theme.frame(
                "case", "option", "control", text=label
            )
            found.append((case, before + start, end + between, after))
        return found

    def _fields_of(self, case: Case) -> dict[str, Builder[t.Any]]:
        found = self._fields.get(case.step)
        if found is None:
            names = self.names.case(case.step)
            found = case.group.build_fields(names, self.context)
            self._fields[case.step] = found
        return found

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = self.node.chosen(value)
        sent = fields_in(value)
        state = self.input_state(errors)
        parts: list[str] = []
        for case, start, middle, end in self._frames:
            here = case is chosen
            fields = ""
            if here or not case.group.recursive:
                values = sent if here else case.group.initial_fields(None)
                fields = "".join(
                    builder.row(values.get(key), errors if here else {})
                    for key, builder in self._fields_of(case).items()
                )
            ticked = " checked" if here else ""
            parts.append(f"{start}{ticked}{state}>{middle}{fields}{end}")
        if self.node.nullable:
            none = self.context.say("None of these")
            start, end = self.option(len(self.node.cases), self._tag, "", none)
            ticked = "" if chosen is not None else " checked"
            parts.append(f"{start}{ticked}{state}>{end}")
        return "".join(parts)


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Variants(Node):
    """A union of models that one of their fields tells apart."""

    builder = VariantsBuilder

    tag: str
    """The key of that field."""

    tag_attribute: str
    cases: tuple[Case, ...]

    @property
    def inner(self) -> tuple[Node, ...]:
        return tuple(case.group for case in self.cases)

    @functools.cached_property
    def by_text(self) -> dict[str, Case]:
        """The models by the text that a form sends for them."""
        return {case.choice.text: case for case in self.cases}

    def case_of(self, tag: t.Any) -> Case | None:
        for case in self.cases:
            if tag == case.choice.value or tag == case.choice.text:
                return case
        return None

    def chosen(self, value: t.Any) -> Case | None:
        """The model that is shown for a value."""
        return self.case_of(fields_in(value).get(self.tag))

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        if tree is None and self.has_default:
            return ABSENT
        tags = tree.children.get(self.tag) if tree is not None else None
        # The last, so that a hidden input may stand before radio buttons.
        tag = tags.values[-1] if tags is not None and tags.values else ""
        if tree is None or not tag:
            if self.nullable and (tree is None or tree.is_blank() or tags):
                return None
            return {}
        case = self.by_text.get(tag)
        if case is None:
            return {self.tag: tag}
        own = tree.children.get(case.step)
        if own is not None:
            # Each model has names of its own in our markup; others write "pay.iban".
            tree = FormTree(tree.values, {**tree.children, **own.children})
        data = case.group.decoder.decode_tree(tree, keep)
        return {self.tag: case.choice.value, **data}

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        case = self.case_of(getattr(value, self.tag_attribute, None))
        if case is not None:
            yield from case.group.unoffered(value, path)

    def initial_from(self, value: t.Any) -> t.Any:
        case = self.case_of(look_up(value, self.tag_attribute, self.tag))
        if case is None:
            return None
        return {self.tag: case.choice.text, **case.group.initial_fields(value)}

    def describe(self, at: FlatName, schema: Schema) -> None:
        tags = [case.choice.text for case in self.cases]
        at.child(self.tag).put({"enum": tags})
        options = schema.get("oneOf", [])
        mapping = schema.get("discriminator", {}).get("mapping", {})
        for case, option in zip(self.cases, options, strict=False):
            own = mapping.get(case.choice.text)
            at.add_fields(case.group, {"$ref": own} if own else option)

    def enter(self, place: Place, step: str) -> Place | None:
        for case in self.cases:
            if case.step == step:
                return place.inside(case.group, place.names.case(step))
        return None

    def choose(self, place: Place) -> Place | None:
        case = self.chosen(place.value)
        return None if case is None else self.enter(place, case.step)

"""Markup for fields of several controls: boxes, models, lists, unions."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import typing as t

from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._body.decoder import Rows
from flaskware_forms._errors.error import FormError
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants
from flaskware_forms._schema.values import chosen_case
from flaskware_forms._schema.values import initial_values
from flaskware_forms._schema.values import items_of
from flaskware_forms._schema.values import text_of

from .controls import asked_choices
from .controls import attributes_text
from .controls import Builder
from .controls import CheckboxBuilder
from .controls import ErrorsAt
from .controls import InputBuilder
from .controls import SelectBuilder
from .controls import TextareaBuilder
from .names import ControlNames
from .theme import RenderContext
from .theme import safe

ROW_BUTTON = "_row"
"""The name of the buttons that add or remove a row."""

# Rows beyond are made anew each time, so that no request fills the memory.
_KEPT_ENTRIES = 50

_LEAVES: dict[str, type[InputBuilder]] = {
    "textarea": TextareaBuilder,
    "checkbox": CheckboxBuilder,
    "select": SelectBuilder,
}


def build(node: Node, names: ControlNames, look: RenderContext) -> Builder:
    """The markup of a field in one place of one form."""
    if isinstance(node, Group):
        builder: Builder = GroupBuilder(node, names, look)
    elif isinstance(node, Variants):
        builder = VariantsBuilder(node, names, look)
    elif isinstance(node, Series):
        builder = (
            _one_control(node, names, look)
            if node.is_one_control
            else SeriesBuilder(node, names, look)
        )
    elif t.cast("Leaf", node).control == "radio":
        builder = ChoicesBuilder(node, t.cast("Leaf", node), names, look)
    else:
        leaf = t.cast("Leaf", node)
        builder = _LEAVES.get(leaf.control, InputBuilder)(leaf, names, look)
    return builder.finish()


def _one_control(node: Series, names: ControlNames, look: RenderContext) -> Builder:
    item = t.cast("Leaf", node.item)
    if item.control == "file":
        return FilesBuilder(node, names, look)
    return ChoicesBuilder(node, item, names, look)


class FieldsetBuilder(Builder):
    """Several controls under one legend."""

    macro = "group"

    def make_label(self) -> str:
        return self.look.theme.text("legend", text=self.plain_text)

    @functools.cached_property
    def _frame(self) -> tuple[str, ...]:
        return self.look.theme.frame(
            "group",
            "state",
            "control",
            "errors",
            id=self.names.id,
            label=safe(self.label),
            hint=safe(self.hint),
            attrs=self.attrs,
        )

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        state = self.described_invalid if self.found(errors) else self.described
        start, before, between, after = self._frame
        control = self.control(value, errors)
        return f"{start}{state}{before}{control}{between}{self.errors(errors)}{after}"

    def button(self, kind: str, target: str, text: str, whose: str) -> str:
        """A button that sends the form to have a row added or removed."""
        label = f"{text}: {whose}"
        return self.look.theme.text(
            "button",
            kind=kind,
            text=text,
            attrs=Markup(
                ' name="{}" value="{}:{}" formnovalidate aria-label="{}"'
            ).format(ROW_BUTTON, kind, target, label),
        )


class ChoicesBuilder(FieldsetBuilder):
    """Radio buttons, or a box to tick for each choice of a list."""

    def __init__(
        self, node: Node, leaf: Leaf, names: ControlNames, look: RenderContext
    ) -> None:
        self._many = leaf is not node
        self.kind = "checkboxes" if self._many else "radio"
        super().__init__(node, names, look)
        self.attrs = look.live_attributes(names.name)
        self._input = "checkbox" if self._many else "radio"
        self._required = "" if self._many else attributes_text(leaf.attributes)
        self._classes = look.classes(self._input)
        self._source = leaf.source
        self._boxes = self._make(leaf.choices)

    def _make(self, choices: cabc.Iterable[t.Any]) -> list[tuple[str, str, str]]:
        boxes: list[tuple[str, str, str]] = []
        for index, choice in enumerate(choices):
            # The first has the field's own id, where the error summary leads.
            id = f"{self.names.id}-{index}" if index else self.names.id
            label = self.look.theme.text("label", id=id, text=choice.label, choice=True)
            before, after = self.look.theme.frame(
                "option", "control", label=safe(label)
            )
            box = (
                f'{before}<input type="{self._input}" id="{escape(id)}"'
                f' name="{self.name}" value="{escape(choice.text)}"{self._required}'
            )
            boxes.append((choice.text, box, after))
        return boxes

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        return _found_below(self.path, errors)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = set(map(text_of, items_of(value) if self._many else [value]))
        invalid = bool(self.found(errors))
        state = self._classes[invalid] + (' aria-invalid="true"' if invalid else "")
        boxes = self._boxes
        if self._source is not None:
            boxes = self._make(asked_choices(self._source))
        return "".join(
            f"{start}{' checked' if text in chosen else ''}{state}>{after}"
            for text, start, after in boxes
        )


class FilesBuilder(FieldsetBuilder):
    """One control that takes several files."""

    kind = "files"

    def __init__(self, node: Series, names: ControlNames, look: RenderContext) -> None:
        super().__init__(node, names, look)
        self._attributes = attributes_text(t.cast("Leaf", node.item).attributes)
        self._classes = look.classes("file")

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        return _found_below(self.path, errors)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:  # noqa: ARG002
        invalid = bool(self.found(errors))
        state = self._classes[invalid] + (' aria-invalid="true"' if invalid else "")
        return (
            f'<input type="file" multiple id="{self.id}" name="{self.name}"'
            f' aria-label="{self.text}"{self._attributes}{state}>'
        )


class GroupBuilder(FieldsetBuilder):
    """A nested model."""

    kind = "group"

    def __init__(self, node: Group, names: ControlNames, look: RenderContext) -> None:
        super().__init__(node, names, look)
        self._node = node
        self._optional_loop = node.recursive and node.nullable

    @functools.cached_property
    def _fields(self) -> list[tuple[str, Builder]]:
        return fields_of(self._node, self.names, self.look)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        if value is None and self._optional_loop:
            # A model inside of itself is shown only once it is asked for.
            say = self.look.say
            return self.button("add", self.names.name, say("Add"), self.plain_text)
        values = t.cast("dict[str, t.Any]", value if isinstance(value, dict) else {})
        return "".join(
            field.row(values.get(key), errors) for key, field in self._fields
        )


def fields_of(
    group: Group, names: ControlNames, look: RenderContext
) -> list[tuple[str, Builder]]:
    """The fields of a model by key."""
    return [
        (child.key, build(child, names.child(child.key), look))
        for child in group.children
    ]


class SeriesBuilder(FieldsetBuilder):
    """Rows of a list: those that are there, and empty ones."""

    kind = "list"

    def __init__(self, node: Series, names: ControlNames, look: RenderContext) -> None:
        super().__init__(node, names, look)
        self._node = node
        self._entries: dict[int, cabc.Callable[[t.Any, ErrorsAt], str]] = {}
        # A model inside of itself has no empty rows, or there would be no end.
        self._blank_rows = 0 if _holds_itself(node.item) else node.blank_rows

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        values = items_of(value)
        limit = self._node.max_length
        if not isinstance(value, Rows):
            count = len(values) + self._blank_rows
            if limit is not None:
                count = max(len(values), min(count, limit))
            values.extend([None] * (count - len(values)))
        rows = "".join(
            self._entry(index)(item, errors) for index, item in enumerate(values)
        )
        if limit is not None and len(values) >= limit:
            return rows
        add = self.look.say("Add")
        return rows + self.button("add", self.names.name, add, self.plain_text)

    def _entry(self, index: int) -> cabc.Callable[[t.Any, ErrorsAt], str]:
        row = self._entries.get(index)
        if row is None:
            row = self._make_entry(index)
            if index < _KEPT_ENTRIES:
                self._entries[index] = row
        return row

    def _make_entry(self, index: int) -> cabc.Callable[[t.Any, ErrorsAt], str]:
        names = self.names.entry(index)
        called = f"{self.plain_text} {index + 1}"
        say = self.look.say
        remove = self.button("remove", names.name, say("Remove"), called)
        item = self._node.item
        if isinstance(item, Leaf):
            # Entries share a name; their order is that of the page.
            names = dc.replace(names, name=self.names.name)
            labelled = (*item.attributes, ("aria-label", called))
            own = dc.replace(item, attributes=labelled)
            return _entry_row(build(own, names, self.look), remove)
        inner = build(dc.replace(item, label=called), names, self.look)
        if not isinstance(inner, FieldsetBuilder):
            return inner.row
        return _with_button(inner, remove)


def _with_button(
    builder: FieldsetBuilder, button: str
) -> cabc.Callable[[t.Any, ErrorsAt], str]:
    inside = builder.control

    def control(value: t.Any, errors: ErrorsAt) -> str:
        # A row that is there, if empty, is not one that is yet to be asked for.
        return inside({} if value is None else value, errors) + button

    builder.control = control  # type: ignore[method-assign]
    return lambda value, errors: builder.row(value, errors)


def _entry_row(builder: Builder, button: str) -> cabc.Callable[[t.Any, ErrorsAt], str]:
    before, between, after = builder.look.theme.frame(
        "entry", "control", "errors", button=safe(button)
    )

    def row(value: t.Any, errors: ErrorsAt) -> str:
        control = builder.control(value, errors)
        return f"{before}{control}{between}{builder.errors(errors)}{after}"

    return row


class VariantsBuilder(FieldsetBuilder):
    """A union: a radio button for each model, and its fields below."""

    kind = "union"

    def __init__(
        self, node: Variants, names: ControlNames, look: RenderContext
    ) -> None:
        super().__init__(node, names, look)
        self._node = node
        self._tag = names.child(node.tag)
        self._classes = look.classes("radio")

    @functools.cached_property
    def _cases(self) -> list[tuple[t.Any, str, str, str, str]]:
        return [
            (case, *self._frame_of(index, case.choice.text, case.choice.label))
            for index, case in enumerate(self._node.cases)
        ]

    @functools.cached_property
    def _fields(self) -> dict[str, list[tuple[str, Builder]]]:
        return {}

    def _fields_of(self, case: t.Any) -> list[tuple[str, Builder]]:
        found = self._fields.get(case.step)
        if found is None:
            names = self.names.case(case.step)
            found = self._fields[case.step] = fields_of(case.group, names, self.look)
        return found

    def _option(self, index: int, text: str, label: str) -> tuple[str, str]:
        theme = self.look.theme
        id = f"{self.names.id}-{index}" if index else self.names.id
        marked = theme.text("label", id=id, text=label, choice=True)
        before, after = theme.frame("option", "control", label=safe(marked))
        start = (
            f'{before}<input type="radio" id="{escape(id)}"'
            f' name="{escape(self._tag.name)}" value="{escape(text)}"'
        )
        return start, after

    def _frame_of(self, index: int, text: str, label: str) -> tuple[str, str, str, str]:
        start, end = self._option(index, text, label)
        before, between, after = self.look.theme.frame(
            "case", "option", "control", text=label
        )
        return before + start, end + between, after, text

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = chosen_case(self._node, value)
        sent = t.cast("dict[str, t.Any]", value if isinstance(value, dict) else {})
        invalid = bool(self.found(errors))
        state = self._classes[invalid] + (' aria-invalid="true"' if invalid else "")
        parts: list[str] = []
        for case, start, middle, end, _text in self._cases:
            here = case is chosen
            fields = ""
            if here or not case.group.recursive:
                values = sent if here else initial_values(case.group, None)
                fields = "".join(
                    builder.row(values.get(key), errors if here else {})
                    for key, builder in self._fields_of(case)
                )
            ticked = " checked" if here else ""
            parts.append(f"{start}{ticked}{state}>{middle}{fields}{end}")
        if self._node.nullable:
            none = self.look.say("None of these")
            start, end = self._option(len(self._node.cases), "", none)
            ticked = "" if chosen is not None else " checked"
            parts.append(f"{start}{ticked}{state}>{end}")
        return "".join(parts)


def _holds_itself(node: Node) -> bool:
    """Whether a model is inside of itself somewhere in a row of it."""
    if isinstance(node, Group):
        return node.recursive
    if isinstance(node, Series):
        return _holds_itself(node.item)
    if isinstance(node, Variants):
        return any(case.group.recursive for case in node.cases)
    return False


def _found_below(path: tuple[str | int, ...], errors: ErrorsAt) -> list[FormError]:
    """The errors of a list and of its entries, where one control stands for all."""
    size = len(path)
    return [error for at in errors if at[:size] == path for error in errors[at]]

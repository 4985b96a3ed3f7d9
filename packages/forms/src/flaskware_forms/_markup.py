"""Markup for controls, made ready once and filled in by joining text."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from markupsafe import escape

from ._controls import Attribute
from ._errors import FormError
from ._errors import Path
from ._schema import Group
from ._schema import Leaf
from ._schema import Node
from ._schema import Series
from ._values import is_on
from ._values import items_of
from ._values import text_of

ErrorsAt: t.TypeAlias = cabc.Mapping[Path, cabc.Sequence[FormError]]
Row: t.TypeAlias = cabc.Callable[[t.Any, ErrorsAt], str]

_NO_ERRORS: tuple[FormError, ...] = ()


class Names:
    """The name, id and path that a control has in its form."""

    __slots__ = ("id", "name", "path")

    def __init__(self, form: str, path: Path) -> None:
        self.path = path
        self.name = str(path[0]) + "".join(
            f"-{step}" if isinstance(step, int) else f".{step}" for step in path[1:]
        )
        self.id = "-".join((form, *map(str, path)))


class FieldMarkup:
    """One field in one place of one form.

    :param form: The name of the form, which starts every id.
    """

    __slots__ = ("control", "errors", "label", "names", "node", "row")

    def __init__(self, form: str, node: Node, path: Path) -> None:
        self.node = node
        self.names = Names(form, path)
        if isinstance(node, Group):
            build: _Builder = _GroupBuilder(form, node, self.names)
        elif isinstance(node, Series):
            build = _SeriesBuilder(form, node, self.names)
        else:
            build = _LEAF_BUILDERS.get(t.cast("Leaf", node).control, _InputBuilder)(
                form, t.cast("Leaf", node), self.names
            )
        self.row: Row = build.row
        self.control: Row = build.control
        self.label = build.label
        self.errors: cabc.Callable[[ErrorsAt], str] = build.errors


class _Builder:
    """What all fields have: a label, a hint, errors."""

    def __init__(self, form: str, node: Node, names: Names) -> None:
        self.form = form
        self.names = names
        self.id = str(escape(names.id))
        self.name = str(escape(names.name))
        self.path = names.path
        hint_id = f"{self.id}--hint"
        self.hint = (
            f'<p class="form-hint" id="{hint_id}">{escape(node.hint)}</p>'
            if node.hint
            else ""
        )
        # What describes the control, without and with errors.
        self.described = f' aria-describedby="{hint_id}"' if node.hint else ""
        both = f"{hint_id} {self.id}--error" if node.hint else f"{self.id}--error"
        self.described_invalid = f' aria-describedby="{both}"'
        self.text = str(escape(node.label))
        self.label = f'<label for="{self.id}">{self.text}</label>'

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        raise NotImplementedError

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        raise NotImplementedError

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        return errors.get(self.path, _NO_ERRORS)

    def errors(self, errors: ErrorsAt) -> str:
        return error_text(self.id, self.found(errors))


def error_text(id: str, errors: cabc.Sequence[FormError]) -> str:
    """The errors of one field, in the element that its control points to."""
    if not errors:
        return ""
    inner = "<br>".join(str(escape(error.message)) for error in errors)
    return f'<p class="form-error" id="{id}--error">{inner}</p>'


class _InputBuilder(_Builder):
    """An ``<input>`` that holds a text."""

    def __init__(self, form: str, node: Leaf, names: Names) -> None:
        super().__init__(form, node, names)
        start = (
            f'<input type="{node.control}" id="{self.id}" name="{self.name}"'
            f"{attributes_text(node.attributes)}"
        )
        # A password is not sent back, a file cannot be.
        self._shows = node.control not in {"password", "file"}
        end = ' value="' if self._shows else ">"
        self._valid = f"{start}{self.described}{end}"
        self._invalid = f'{start} aria-invalid="true"{self.described_invalid}{end}'
        self._row = f'<div class="form-field">{self.label}{self.hint}'
        self._hidden = node.control == "hidden"
        # Such a control takes no offset from UTC, and is empty where it gets one.
        self._local = node.control == "datetime-local"

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        start = self._invalid if errors and self.path in errors else self._valid
        if not self._shows:
            return start
        text = value if type(value) is str else text_of(value)
        return f'{start}{escape(text[:19] if self._local else text)}">'

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        control = self.control(value, errors)
        if self._hidden:
            return control
        error = self.errors(errors) if errors else ""
        return f"{self._row}{control}{error}</div>\n"


class _TextareaBuilder(_InputBuilder):
    def __init__(self, form: str, node: Leaf, names: Names) -> None:
        super().__init__(form, node, names)
        self._start = (
            f'<textarea id="{self.id}" name="{self.name}" rows="{node.rows or 5}"'
            f"{attributes_text(node.attributes)}"
        )

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        state = (
            f' aria-invalid="true"{self.described_invalid}'
            if self.path in errors
            else self.described
        )
        # HTML drops a newline right after the tag, so one is given away.
        return f"{self._start}{state}>\n{escape(text_of(value))}</textarea>"


class _CheckboxBuilder(_InputBuilder):
    def __init__(self, form: str, node: Leaf, names: Names) -> None:
        super().__init__(form, node, names)
        self._start = (
            f'<input type="checkbox" id="{self.id}" name="{self.name}" value="true"'
            f"{attributes_text(node.attributes)}"
        )

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        state = (
            f' aria-invalid="true"{self.described_invalid}'
            if self.path in errors
            else self.described
        )
        return f"{self._start}{' checked' if is_on(value) else ''}{state}>"

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        return (
            f'<div class="form-field form-choice">{self.control(value, errors)}'
            f"{self.label}{self.hint}{self.errors(errors)}</div>\n"
        )


class _SelectBuilder(_InputBuilder):
    def __init__(self, form: str, node: Leaf, names: Names) -> None:
        super().__init__(form, node, names)
        self._start = (
            f'<select id="{self.id}" name="{self.name}"'
            f"{attributes_text(node.attributes)}"
        )
        blank = node.nullable or not node.has_default
        self._blank = '<option value=""></option>' if blank else ""
        self._options: list[tuple[str, str, str]] = []
        for choice in node.choices:
            start = f'<option value="{escape(choice.text)}"'
            end = f">{escape(choice.label)}</option>"
            self._options.append((choice.text, start + end, f"{start} selected{end}"))

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = text_of(value)
        state = (
            f' aria-invalid="true"{self.described_invalid}'
            if self.path in errors
            else self.described
        )
        options = "".join(
            selected if text == chosen else plain
            for text, plain, selected in self._options
        )
        return f"{self._start}{state}>{self._blank}{options}</select>"


class _FieldsetBuilder(_Builder):
    """Several controls under one legend."""

    def __init__(self, form: str, node: Node, names: Names) -> None:
        super().__init__(form, node, names)
        self.label = f"<legend>{self.text}</legend>"

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        state = self.described_invalid if self.found(errors) else self.described
        return (
            f'<fieldset class="form-group" id="{self.id}--group"{state}>{self.label}'
            f"{self.hint}{self.control(value, errors)}{self.errors(errors)}"
            "</fieldset>\n"
        )


class _ChoicesBuilder(_FieldsetBuilder):
    """Radio buttons, or a box to tick for each choice of a list."""

    def __init__(
        self, form: str, node: Node, names: Names, leaf: Leaf | None = None
    ) -> None:
        super().__init__(form, node, names)
        choices = t.cast("Leaf", leaf or node).choices
        self._many = leaf is not None
        kind = "checkbox" if self._many else "radio"
        required = (
            "" if self._many else attributes_text(t.cast("Leaf", node).attributes)
        )
        self._boxes: list[tuple[str, str, str]] = []
        for index, choice in enumerate(choices):
            # The first has the field's own id, where the error summary leads.
            id = f"{self.id}-{index}" if index else self.id
            box = (
                f'<div class="form-choice"><input type="{kind}" id="{id}"'
                f' name="{self.name}" value="{escape(choice.text)}"{required}'
            )
            label = f'<label for="{id}">{escape(choice.label)}</label></div>'
            self._boxes.append((choice.text, box, label))

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        return _found_below(self.path, errors)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = set(map(text_of, items_of(value) if self._many else [value]))
        invalid = ' aria-invalid="true"' if self.found(errors) else ""
        return "".join(
            f"{start}{' checked' if text in chosen else ''}{invalid}>{label}"
            for text, start, label in self._boxes
        )


class _GroupBuilder(_FieldsetBuilder):
    def __init__(self, form: str, node: Group, names: Names) -> None:
        super().__init__(form, node, names)
        self._fields = [
            (child.key, FieldMarkup(form, child, (*names.path, child.key)))
            for child in node.children
        ]

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        values = t.cast("dict[str, t.Any]", value if isinstance(value, dict) else {})
        return "".join(
            field.row(values.get(key), errors) for key, field in self._fields
        )


def _found_below(path: Path, errors: ErrorsAt) -> list[FormError]:
    """The errors of a list and of its entries, where one control stands for all."""
    size = len(path)
    return [error for at in errors if at[:size] == path for error in errors[at]]


class _SeriesBuilder(_FieldsetBuilder):
    """Rows of a list: those that are there, and empty ones."""

    def __init__(self, form: str, node: Series, names: Names) -> None:
        super().__init__(form, node, names)
        self._node = node
        item = node.item
        self._choices = (
            _ChoicesBuilder(form, node, names, item)
            if isinstance(item, Leaf) and item.choices
            else None
        )

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        if self._node.is_one_control:
            return _found_below(self.path, errors)
        return super().found(errors)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        if self._choices is not None:
            return self._choices.control(value, errors)
        if self._node.is_one_control:
            return self._file_input(errors)
        values = items_of(value)
        count = len(values) + self._node.blank_rows
        if self._node.max_length is not None:
            count = max(len(values), min(count, self._node.max_length))
        values.extend([None] * (count - len(values)))
        return "".join(
            self._entry(index, item, errors) for index, item in enumerate(values)
        )

    def _entry(self, index: int, value: t.Any, errors: ErrorsAt) -> str:
        path = (*self.path, index)
        item = self._node.item
        if isinstance(item, Group):
            legend = _numbered(item, f"{self._node.label} {index + 1}")
            return FieldMarkup(self.form, legend, path).row(value, errors)
        id = f"{self.id}-{index}" if index else self.id
        found = errors.get(path, _NO_ERRORS)
        own = f"{self.id}-{index}"
        state = f' aria-invalid="true" aria-describedby="{own}--error"' if found else ""
        attributes = attributes_text(item.attributes)
        return (
            f'<div class="form-entry"><input type="{item.control}" id="{id}"'
            f' name="{self.name}" aria-label="{self.text} {index + 1}"{attributes}'
            f'{state} value="{escape(text_of(value))}">{error_text(own, found)}</div>'
        )

    def _file_input(self, errors: ErrorsAt) -> str:
        item = t.cast("Leaf", self._node.item)
        attributes = attributes_text(item.attributes)
        invalid = ' aria-invalid="true"' if self.found(errors) else ""
        return (
            f'<input type="file" multiple id="{self.id}" name="{self.name}"'
            f' aria-label="{self.text}"{attributes}{invalid}>'
        )


def _numbered(group: Group, label: str) -> Group:
    return dc.replace(group, label=label)


_LEAF_BUILDERS: dict[str, cabc.Callable[[str, t.Any, Names], _Builder]] = {
    "textarea": _TextareaBuilder,
    "checkbox": _CheckboxBuilder,
    "select": _SelectBuilder,
    "radio": _ChoicesBuilder,
}


def attributes_text(attributes: cabc.Iterable[Attribute]) -> str:
    """Attributes as they stand in a tag, each after a space."""
    return "".join(
        f" {name}" if value is None else f' {name}="{escape(value)}"'
        for name, value in attributes
    )

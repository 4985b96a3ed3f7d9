"""Markup for controls, made ready once and filled in by joining text."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._schema.controls import Attribute
from flaskware_forms._schema.controls import Choice
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.values import is_on
from flaskware_forms._schema.values import text_of

from .names import ControlNames
from .theme import FieldParts
from .theme import Macro
from .theme import RenderContext
from .theme import safe

ErrorsAt: t.TypeAlias = cabc.Mapping[Path, cabc.Sequence[FormError]]
Row: t.TypeAlias = cabc.Callable[[t.Any, ErrorsAt], str]

_NO_ERRORS: tuple[FormError, ...] = ()


class Builder:
    """What all fields have: a label, a hint, errors."""

    macro = "field"
    kind: str

    def __init__(self, node: Node, names: ControlNames, look: RenderContext) -> None:
        self.look = look
        self.names = names
        self.field = node.attribute
        self.id = str(escape(names.id))
        self.name = str(escape(names.name))
        self.path = names.path
        hint_id = f"{self.id}--hint"
        theme = look.theme
        self.hint = theme.text("hint", id=names.id, text=node.hint) if node.hint else ""
        # What describes the control, without and with errors.
        self.described = f' aria-describedby="{hint_id}"' if node.hint else ""
        both = f"{hint_id} {self.id}--error" if node.hint else f"{self.id}--error"
        self.described_invalid = f' aria-describedby="{both}"'
        self.plain_text = node.label
        self.text = str(escape(node.label))
        self.label = self.make_label()
        self.attrs = Markup()

    def make_label(self) -> str:
        choice = self.macro == "choice"
        return self.look.theme.text(
            "label", id=self.names.id, text=self.plain_text, choice=choice
        )

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        raise NotImplementedError

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        raise NotImplementedError

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        return errors.get(self.path, _NO_ERRORS)

    def errors(self, errors: ErrorsAt) -> str:
        return self.look.error_text(
            self.id, (error.message for error in self.found(errors))
        )

    def custom_row(self, macro: Macro, value: t.Any, errors: ErrorsAt) -> str:
        """What an app's own macro makes of the field."""
        parts = FieldParts(
            field=self.field,
            kind=self.kind,
            id=self.names.id,
            name=self.names.name,
            label=safe(self.label),
            text=self.plain_text,
            hint=safe(self.hint),
            control=safe(self.control(value, errors)),
            errors=safe(self.errors(errors)),
            invalid=bool(self.found(errors)),
            attrs=self.attrs,
        )
        return str(macro(parts))

    def finish(self) -> t.Self:
        """Take the app's own macro, where it has one for this field."""
        if self.look.custom is not None:
            macro = self.look.custom(self.field, self.kind)
            if macro is not None:
                self.row = functools.partial(  # type: ignore[method-assign]
                    self.custom_row, macro
                )
        return self


class InputBuilder(Builder):
    """An ``<input>`` that holds a text."""

    def __init__(self, node: Leaf, names: ControlNames, look: RenderContext) -> None:
        self.kind = node.control
        super().__init__(node, names, look)
        # A file is not sent again, and a password would be lost with the control.
        if node.control not in {"hidden", "password", "file"}:
            self.attrs = look.live_attributes(names.name)
        self.attributes = attributes_text(node.attributes)
        self.valid_class, self.invalid_class = look.classes(node.control)
        self._before, self._between, self._after = look.theme.frame(
            self.macro,
            *self.order,
            label=safe(self.label),
            hint=safe(self.hint),
            attrs=self.attrs,
        )
        self._hidden = node.control == "hidden"
        # Such a control takes no offset from UTC, and is empty where it gets one.
        self._local = node.control == "datetime-local"
        start = (
            f'<input type="{node.control}" id="{self.id}" name="{self.name}"'
            f"{self.attributes}"
        )
        # A password is not sent back, a file cannot be.
        self._shows = node.control not in {"password", "file"}
        end = ' value="' if self._shows else ">"
        self._valid = f"{start}{self.state(invalid=False)}{end}"
        self._invalid = f"{start}{self.state(invalid=True)}{end}"

    order = ("control", "errors")

    def state(self, *, invalid: bool) -> str:
        """What a control has by whether it is right."""
        if invalid:
            return f'{self.invalid_class} aria-invalid="true"{self.described_invalid}'
        return f"{self.valid_class}{self.described}"

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
        return f"{self._before}{control}{self._between}{error}{self._after}"


class TextareaBuilder(InputBuilder):
    """A ``<textarea>``."""

    def __init__(self, node: Leaf, names: ControlNames, look: RenderContext) -> None:
        super().__init__(node, names, look)
        self._start = (
            f'<textarea id="{self.id}" name="{self.name}" rows="{node.rows or 5}"'
            f"{self.attributes}"
        )

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        state = self.state(invalid=self.path in errors)
        # HTML drops a newline right after the tag, so one is given away.
        return f"{self._start}{state}>\n{escape(text_of(value))}</textarea>"


class CheckboxBuilder(InputBuilder):
    """A box to tick."""

    macro = "choice"

    def __init__(self, node: Leaf, names: ControlNames, look: RenderContext) -> None:
        super().__init__(node, names, look)
        self._start = (
            f'<input type="checkbox" id="{self.id}" name="{self.name}" value="true"'
            f"{self.attributes}"
        )

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        state = self.state(invalid=self.path in errors)
        return f"{self._start}{' checked' if is_on(value) else ''}{state}>"


class SelectBuilder(InputBuilder):
    """A list to choose one value from."""

    def __init__(self, node: Leaf, names: ControlNames, look: RenderContext) -> None:
        super().__init__(node, names, look)
        self._start = f'<select id="{self.id}" name="{self.name}"{self.attributes}'
        blank = node.nullable or not node.has_default
        self._blank = '<option value=""></option>' if blank else ""
        self._source = node.source
        self._options = _options(node.choices)

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        chosen = text_of(value)
        state = self.state(invalid=self.path in errors)
        found = self._options
        if self._source is not None:
            found = _options(asked_choices(self._source))
        options = "".join(
            selected if text == chosen else plain for text, plain, selected in found
        )
        return f"{self._start}{state}>{self._blank}{options}</select>"


def _options(choices: cabc.Iterable[Choice]) -> list[tuple[str, str, str]]:
    """The text of each choice, and how it looks without and with being chosen."""
    found: list[tuple[str, str, str]] = []
    for choice in choices:
        start = f'<option value="{escape(choice.text)}"'
        end = f">{escape(choice.label)}</option>"
        found.append((choice.text, start + end, f"{start} selected{end}"))
    return found


def asked_choices(
    source: cabc.Callable[[], cabc.Iterable[t.Any]],
) -> tuple[Choice, ...]:
    """The choices that a function gives: values, or pairs of value and label."""
    found: list[Choice] = []
    for item in source():
        # A row of a query is a sequence, if not always a tuple.
        several = isinstance(item, cabc.Sequence) and not isinstance(item, str)
        pair = t.cast("list[t.Any]", [*item] if several else [item])
        text = text_of(pair[0])
        found.append(Choice(text, str(pair[-1]) if len(pair) > 1 else text, pair[0]))
    return tuple(found)


def attributes_text(attributes: cabc.Iterable[Attribute]) -> str:
    """Attributes as they stand in a tag, each after a space."""
    return "".join(
        f" {name}" if value is None else f' {name}="{escape(value)}"'
        for name, value in attributes
    )

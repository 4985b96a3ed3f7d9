"""Markup of a field: a label, a hint, errors and controls, made ready once."""

from __future__ import annotations

import collections.abc as cabc
import functools
import typing as t

from markupsafe import escape
from markupsafe import Markup

from flaskware_forms._body.decoder import EXISTS
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import Attributes
from flaskware_forms._markup.theme import ChoiceParts
from flaskware_forms._markup.theme import FieldParts
from flaskware_forms._markup.theme import Macro
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._markup.theme import safe
from flaskware_forms._schema.facets import Text

if t.TYPE_CHECKING:
    from .node import Node

N = t.TypeVar("N", bound="Node")
ErrorsAt: t.TypeAlias = cabc.Mapping[Path, cabc.Sequence[FormError]]
Attribute: t.TypeAlias = "tuple[str, Text | None]"
Row: t.TypeAlias = cabc.Callable[[t.Any, ErrorsAt], str]

ROW_BUTTON = "_row"
"""The name of the buttons that add or remove a row."""

_NO_ERRORS: tuple[FormError, ...] = ()


class Builder(t.Generic[N]):
    """The markup of a field in one place of one form.

    It is made once; a request fills in values and errors by joining text.
    """

    macro = "field"
    kind: str
    """Its kind in themes."""
    # The hidden input that says that a page shows it, where a browser may send nothing;
    # and the same for a list that exists, though it looks like none.
    presence = ""
    presence_of_empty = ""

    def __init__(self, node: N, names: ControlNames, context: RenderContext) -> None:
        self.node = node
        self.context = context
        self.names = names
        self.field = node.attribute
        self.key = node.key
        self.id = str(escape(names.id))
        self.name = str(escape(names.name))
        self.path = names.path
        hint_id = f"{self.id}--hint"
        hint = "" if node.hint is None else str(node.hint)
        self.hint = context.text("hint", id=names.id, text=hint) if hint else ""
        # The ids that describe the control, without and with errors.
        self.described = f' aria-describedby="{hint_id}"' if hint else ""
        both = f"{hint_id} {self.id}--error" if hint else f"{self.id}--error"
        self.described_invalid = f' aria-describedby="{both}"'
        # A lazy text has a language only here.
        self.plain_text = context.words(node.label)
        self.text = str(escape(self.plain_text))
        self.mark = context.mark(node.needed)
        self.label = self.make_label()
        self.attrs = Markup()
        self.prepare()

    def prepare(self) -> None:
        """Make ready what is the same for all requests."""

    def make_presence(self, name: str) -> None:
        """Make the hidden inputs that say that a page shows it."""
        self.presence = hidden(name, "")
        self.presence_of_empty = hidden(name, EXISTS)

    def make_label(self) -> str:
        return self.context.text(
            "label",
            id=self.names.id,
            text=self.plain_text,
            choice=self.macro == "choice",
            mark=self.mark,
        )

    def row_templates(self, macro: str, *holes: str, **parts: object) -> list[str]:
        """The markup of the row, valid and invalid, for what comes later."""
        return [
            self.context.template(
                macro,
                *holes,
                kind=self.kind,
                label=safe(self.label),
                hint=safe(self.hint),
                attrs=self.attrs,
                invalid=invalid,
                **parts,
            )
            for invalid in (False, True)
        ]

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        raise NotImplementedError

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        raise NotImplementedError

    def entry_row(self, button: str) -> Row:
        """Make the row of an entry of a list, with a button."""
        raise NotImplementedError

    def found(self, errors: ErrorsAt) -> cabc.Sequence[FormError]:
        if not self.node.one_control:
            return errors.get(self.path, _NO_ERRORS)
        # One control, or one set of boxes, stands for the list and all of its entries.
        size = len(self.path)
        return [e for at in errors if at[:size] == self.path for e in errors[at]]

    def errors(self, errors: ErrorsAt) -> str:
        return self.context.error_text(
            self.id, (error.message for error in self.found(errors))
        )

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        """The attributes of its control, or of the fieldset around its controls."""
        raise NotImplementedError

    def choices_for(self, value: t.Any, errors: ErrorsAt) -> tuple[ChoiceParts, ...]:  # noqa: ARG002
        """Its choices, if it has some."""
        return ()

    def value_for(self, value: t.Any) -> t.Any:  # noqa: ARG002
        """The text or the texts that its control shows."""
        return None

    def custom_row(self, macro: Macro, value: t.Any, errors: ErrorsAt) -> str:
        """The row that an app's own macro makes of the field."""
        text = str(macro(self.parts(value, errors, self.control(value, errors))))
        return self.with_presence(text, value)

    def with_presence(self, markup: str, value: t.Any) -> str:
        """Markup of a macro, which may have made controls of its own."""
        presence = self.presence_for(value)
        return markup if presence in markup else presence + markup

    def presence_for(self, value: t.Any) -> str:
        """The hidden input that stands before its control."""
        says = self.node.existence(value)
        return self.presence_of_empty if says else self.presence

    def parts(self, value: t.Any, errors: ErrorsAt, control: str = "") -> FieldParts:
        """The parts of the field, for a macro."""
        return FieldParts(
            field=self.field,
            kind=self.kind,
            id=self.names.id,
            name=self.names.name,
            label=safe(self.label),
            text=self.plain_text,
            hint=safe(self.hint),
            control=safe(control),
            errors=safe(self.errors(errors)),
            invalid=bool(self.found(errors)),
            attrs=self.attrs,
            value=self.value_for(value),
            attributes=self.attributes_for(errors),
            choices=self.choices_for(value, errors),
            needed=self.node.needed,
            mark=self.mark,
        )

    def finish(self) -> t.Self:
        """Take the macros of the theme or of the app that are for this field."""
        control = self.context.theme.macro(f"control_{self.kind.replace('-', '_')}")
        if control is not None:

            def make(value: t.Any, errors: ErrorsAt) -> str:
                made = str(control(self.parts(value, errors)))
                return self.with_presence(made, value)

            self.control = make  # type: ignore[method-assign]
        if self.context.custom is not None:
            macro = self.context.custom(self.field, self.kind)
            if macro is not None:
                self.row = functools.partial(  # type: ignore[method-assign]
                    self.custom_row, macro
                )
        return self


class FieldsetBuilder(Builder[N]):
    """Several controls under one legend."""

    macro = "group"
    # True if it is a row of a list.
    is_entry = False
    input_kind: str
    """The type of its controls."""

    @functools.cached_property
    def _classes(self) -> tuple[str, str]:
        inner = self.node.inner
        own: str = getattr(inner[0] if inner else self.node, "own_class", "")
        return self.context.classes(self.input_kind, own)

    def make_label(self) -> str:
        return self.context.text("legend", text=self.plain_text, mark=self.mark)

    @functools.cached_property
    def _templates(self) -> list[str]:
        holes = ("state", "control", "errors")
        return self.row_templates("group", *holes, id=self.names.id)

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        invalid = bool(self.found(errors))
        state = self.described_invalid if invalid else self.described
        if self.node.locked:
            state += " disabled"
        return self._templates[invalid].format(
            state=state,
            control=self.control(value, errors),
            errors=self.errors(errors) if invalid else "",
        )

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        id, hint = f"{self.names.id}--group", f"{self.names.id}--hint"
        error = [f"{self.names.id}--error"] if self.found(errors) else []
        described = " ".join([*([hint] if self.hint else []), *error])
        found = Attributes(id=id)
        if described:
            found["aria-describedby"] = described
        if self.node.locked:
            found["disabled"] = None
        return found

    def entry_row(self, button: str) -> Row:
        inside = self.control

        def control(value: t.Any, errors: ErrorsAt) -> str:
            return inside(value, errors) + button

        self.is_entry = True
        self.control = control  # type: ignore[method-assign]
        return self.row

    def input_state(self, errors: ErrorsAt) -> str:
        """The attributes that show whether the field is valid."""
        invalid = bool(self.found(errors))
        return self._classes[invalid] + (' aria-invalid="true"' if invalid else "")

    def option(
        self, index: int, name: str, text: str, label: str, attributes: str = ""
    ) -> tuple[str, str]:
        """The markup before and after the state of one box or radio button."""
        # The first has the field's own id, where the error summary leads.
        id = f"{self.names.id}-{index}" if index else self.names.id
        marked = self.context.text(
            "label", id=id, text=label, choice=True, kind=self.input_kind
        )
        template = self.context.template(
            "option", "control", label=safe(marked), kind=self.input_kind
        )
        before, _, after = template.partition("{control}")
        before, after = before.format(), after.format()
        start = (
            f'{before}<input type="{self.input_kind}" id="{escape(id)}"'
            f' name="{escape(name)}" value="{escape(text)}"{attributes}'
        )
        return start, after

    def button(self, kind: str, target: ControlNames, text: str, whose: str) -> str:
        """A button that sends the form to have a row added or removed."""
        label = f"{text}: {whose}"
        return self.context.text(
            "button",
            kind=kind,
            text=text,
            attrs=Markup(
                ' id="{}--{}" name="{}" value="{}:{}" formnovalidate aria-label="{}"'
            ).format(target.id, kind, ROW_BUTTON, kind, target.name, label),
        )


def hidden(name: str, value: str) -> str:
    """An input that nobody sees."""
    return f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'


def attributes_text(attributes: cabc.Iterable[Attribute]) -> str:
    """Attributes as they stand in a tag, each after a space."""
    return str(Attributes(attributes))

"""Fields of one value, shown as one control."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

import pydantic
from markupsafe import escape

from flaskware_forms._body.decoder import BLANK
from flaskware_forms._body.decoder import exact_of
from flaskware_forms._body.decoder import EXISTS
from flaskware_forms._body.decoder import FormTree
from flaskware_forms._body.decoder import marked
from flaskware_forms._body.decoder import Read
from flaskware_forms._body.decoder import read_one
from flaskware_forms._body.decoder import read_or_none
from flaskware_forms._body.decoder import SHOWN
from flaskware_forms._body.decoder import Values
from flaskware_forms._body.decoder import with_line_feeds
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.theme import Attributes
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._markup.theme import safe
from flaskware_forms._schema.facets import Facets
from flaskware_forms._schema.values import text_of

from .builder import Attribute
from .builder import attributes_text
from .builder import Builder
from .builder import ErrorsAt
from .builder import hidden
from .builder import Row
from .node import Leaves
from .node import Node
from .node import Texts

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema

N = t.TypeVar("N", bound=Node)


class InputBuilder(Builder[N]):
    """An ``<input>`` that holds a text."""

    is_input = True
    """False for another element."""

    @property
    def leaf(self) -> Leaf:
        """The field of one value that its control is made for."""
        inner = self.node.inner
        return t.cast("Leaf", inner[0] if inner else self.node)

    def prepare(self) -> None:
        node = self.leaf
        self.kind = node.control
        if node.is_live:
            self.attrs = self.context.live_attributes(self.names.name)
        kind, attributes = node.input_for(self.context)
        self.attributes = attributes_text(attributes)
        self.valid_class, self.invalid_class = self.context.classes(
            node.control, node.own_class
        )
        self._templates = self.row_templates(self.macro, "control", "errors")
        self._hidden, self._shows = node.is_hidden, node.shows_value
        self.leaf_text = node.shown_text
        start = (
            f'<input type="{kind}" id="{self.id}" name="{self.name}"{self.attributes}'
        )
        end = ' value="' if self._shows else ">"
        self._valid = f"{start}{self.state(invalid=False)}{end}"
        self._invalid = f"{start}{self.state(invalid=True)}{end}"

    def state(self, *, invalid: bool) -> str:
        """The attributes of a control by whether its value is valid."""
        if invalid:
            return f'{self.invalid_class} aria-invalid="true"{self.described_invalid}'
        return f"{self.valid_class}{self.described}"

    def control(self, value: t.Any, errors: ErrorsAt) -> str:
        start = self._invalid if errors and self.path in errors else self._valid
        if not self._shows:
            return start
        text, exact = self.leaf_text(value)
        mark = hidden(self.names.name, marked(exact)) if exact is not None else ""
        return f'{mark}{start}{escape(text)}">'

    def presence_for(self, value: t.Any) -> str:
        exact = self.leaf_text(value)[1] if self._shows else None
        return "" if exact is None else hidden(self.names.name, marked(exact))

    def row(self, value: t.Any, errors: ErrorsAt) -> str:
        control = self.control(value, errors)
        if self._hidden:
            return control
        error = self.errors(errors) if errors else ""
        return self._templates[bool(error)].format(control=control, errors=error)

    def entry_row(self, button: str) -> Row:
        template = self.context.template(
            "entry", "control", "errors", kind=self.kind, button=safe(button)
        )

        def row(value: t.Any, errors: ErrorsAt) -> str:
            control, error = self.control(value, errors), self.errors(errors)
            if value is not None and self._shows and not text_of(value):
                control += exists
            return template.format(control=control, errors=error)

        exists = hidden(f"{self.names.name}.{SHOWN}", EXISTS)
        return row

    def attributes_for(self, errors: ErrorsAt) -> Attributes:
        leaf, names = self.leaf, self.names
        kind, attributes = leaf.input_for(self.context)
        found = Attributes({"type": kind} if self.is_input else {})
        found.update(id=names.id, name=names.name)
        found.update(attributes)
        invalid = bool(self.found(errors))
        error = [f"{names.id}--error"] if invalid else []
        described = " ".join([*([f"{names.id}--hint"] if self.hint else []), *error])
        if invalid:
            found["aria-invalid"] = "true"
        if described:
            found["aria-describedby"] = described
        return found

    def value_for(self, value: t.Any) -> t.Any:
        return self.leaf_text(value)[0] if self._shows else ""


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Leaf(Node):
    """A field of one value.

    A subclass registers itself::

        class Color(Leaf, control="color", types=(MyColor,)): ...

    :param control: Its kind in themes and, for an ``<input>``, its type.
    :param types: The types of fields that it is made for.
    """

    nested = False
    builder: t.ClassVar[type[Builder[t.Any]]] = InputBuilder
    control: t.ClassVar[str]
    by_control: t.ClassVar[dict[str, type[Leaf]]] = {}
    by_type: t.ClassVar[dict[t.Any, type[Leaf]]] = {}

    autocomplete: t.ClassVar[str | None] = None
    is_file: t.ClassVar[bool] = False
    is_hidden: t.ClassVar[bool] = False
    # True if any other control of a text may stand for it.
    is_text: t.ClassVar[bool] = False
    # False if its value never stands in a page.
    shows_value: t.ClassVar[bool] = True
    # True if it is validated when it changes.
    is_live: t.ClassVar[bool] = True
    # True if a person writes a text of one line into it, and of any number of lines.
    is_written: t.ClassVar[bool] = False
    keeps_lines: t.ClassVar[bool] = False
    # The direction of its text: that of what is written (HTML, "the dir attribute").
    direction: t.ClassVar[str | None] = None
    # True if a browser can show it without letting anybody change it (HTML, "the
    # readonly attribute").
    may_be_readonly: t.ClassVar[bool] = False

    required: bool
    write: cabc.Callable[[t.Any], t.Any] | None = None
    """Gives the text of a value, for a type that has one of its own."""
    # True if a blank is a value of its own, and not the lack of one.
    takes_blank: bool = False
    attributes: tuple[Attribute, ...] = ()
    own_class: str = ""
    """Classes beside those of the theme."""

    def __init_subclass__(
        cls, *, control: str = "", types: tuple[t.Any, ...] = ()
    ) -> None:
        if control:
            cls.control = control
            Leaf.by_control[control] = cls
        Leaf.by_type.update(dict.fromkeys(types, cls))

    @classmethod
    def make(cls, found: Facets, common: dict[str, t.Any]) -> Leaf:
        """Make the field of an annotation.

        :param common: The values of the fields that all kinds have.
        """
        locked = found.ui.readonly or found.ui.disabled
        required = not found.nullable and not locked and cls.refuses_blank(found)
        attributes = dict(cls.attributes_of(found, required))
        for name, value in found.ui.attributes.items():
            attributes.pop(name, None)
            if value is not None and value is not False:
                attributes[name] = None if value is True else value
        classes = str(attributes.pop("class", None) or "")
        own = {**common, **cls.options(found)}
        return cls(
            **own,
            required=required,
            takes_blank=not cls.refuses_blank(found),
            attributes=tuple(attributes.items()),
            own_class=classes,
        )

    @classmethod
    def options(cls, found: Facets) -> dict[str, t.Any]:  # noqa: ARG003
        """The values of the fields that a kind has of its own."""
        return {}

    @classmethod
    def refuses_blank(cls, found: Facets) -> bool:
        """True if the server refuses an empty control, so that a browser may too."""
        text = found.type is str or found.type is pydantic.SecretStr
        return bool(found.min_length) if text else True

    @classmethod
    def attributes_of(cls, found: Facets, required: bool) -> cabc.Iterator[Attribute]:
        """Yield the attributes of the control for a declaration."""
        if required:
            yield "required", None
        yield from cls.constraints(found)
        if cls.direction:
            yield "dir", cls.direction
        if found.ui.disabled:
            yield "disabled", None
        elif found.ui.readonly and not cls.is_hidden:
            yield "readonly", None
        autocomplete = found.ui.autocomplete or cls.autocomplete
        if autocomplete:
            yield "autocomplete", autocomplete
        if found.ui.placeholder is not None:
            yield "placeholder", found.ui.placeholder

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterable[Attribute]:  # noqa: ARG003
        """The attributes that bound a value."""
        return ()

    @property
    def needed(self) -> bool | None:
        return None if self.is_hidden or self.locked else self.required

    @property
    def asks_choices(self) -> bool:
        """True if its choices are asked for when it is shown."""
        return False

    def input_for(
        self,
        context: RenderContext,  # noqa: ARG002
    ) -> tuple[str, tuple[Attribute, ...]]:
        """Return the type of its ``<input>``, and other attributes of the control."""
        return self.control, self.attributes

    def reader(self) -> Read:
        read = read_or_none if self.nullable else read_one
        if not self.keeps_lines and not self.is_written:
            return read

        def run(values: Values) -> t.Any:
            if len(values) == 1 or (exact := exact_of(values)) is None:
                value = read(values)
                return with_line_feeds(value) if isinstance(value, str) else value
            text = with_line_feeds(values[1])
            return exact if text == self.kept(exact) else read([text])

        return run

    def kept(self, text: str) -> str:
        """Return the text that a control keeps (HTML, "value sanitization")."""
        if self.keeps_lines:
            return with_line_feeds(text).replace("\r", "\n")
        return text.replace("\r", "").replace("\n", "") if self.is_written else text

    def shown_text(self, value: t.Any) -> tuple[str, str | None]:
        """Return the text of its control, and the exact text if that is another.

        For a page whose control cannot hold a value: untouched, it is not lost.
        """
        text = value if type(value) is str else text_of(value)
        if not text and value is not None and self.nullable and self.takes_blank:
            return "", None if value is BLANK else ""
        if "\n" in text or "\r" in text:
            kept = self.kept(text)
            return kept, None if kept == text else text
        return text, None

    def is_marked(self, value: t.Any) -> bool:
        return self.shows_value and self.shown_text(value)[1] is not None

    def decode_entries(self, tree: FormTree, keep: bool) -> list[t.Any]:
        read = self.reader()
        # Without a name of its own, a blank is the empty row at the end.
        entries = [
            read([value]) if value else None for value in tree.values if value or keep
        ]
        for row in tree.rows():
            if not row.is_empty():
                value = read(row.marked_values if row.values else [""])
                entries.append(BLANK if value is None and keep else value)
            elif keep:
                entries.append(None)
        return entries

    def strays(self, tree: FormTree, path: Path) -> cabc.Iterator[Path]:
        for step in tree.children:
            yield (*path, step)

    def texts(self, name: str, value: t.Any) -> Texts:
        text, exact = self.shown_text(value) if self.shows_value else ("", None)
        if exact is not None:
            yield name, marked(exact)
        yield name, text.replace("\n", "\r\n")

    def leaves(self, times: int = 1) -> Leaves:
        yield self, times

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:
        # A validator of the application may have its own words for an empty text.
        own = code in {"value_error", "assertion_error"}
        missing = value == "" and self.required and not own
        return ("missing", "missing") if missing else (code, code)

    def shown(self, value: t.Any) -> t.Any:
        return text_of(value)

    def initial_from(self, value: t.Any) -> t.Any:
        return value if self.write is None or value is None else self.write(value)

    def as_entry(self, label: str) -> Node:
        labelled = {"aria-label": label, **dict(self.attributes)}
        return dc.replace(self, attributes=tuple(labelled.items()))

    def relaxed(self) -> Node:
        attributes = tuple(pair for pair in self.attributes if pair[0] != "required")
        return dc.replace(self, attributes=attributes)

    def describe(self, at: FlatName, schema: Schema) -> None:
        found = self.text_schema(schema)
        if self.nullable:
            found = or_blank(found)
        at.put(found, required=at.needed)

    def describe_entries(self, at: FlatName, schema: Schema, required: bool) -> None:
        items = self.text_schema(at.resolve(schema.get("items", {})))
        found: Schema = {"type": "array", "items": or_blank(items)}
        low, high = schema.get("minItems"), schema.get("maxItems")
        if low or high is not None:
            # A blank entry does not count.
            found |= {"contains": filled(items), "minContains": low or 0}
        if high is not None:
            found["maxContains"] = high
        at.put(found, required=required)
        # The default of a form: one part, or one pair, for each entry.
        at.encode({"style": "form", "explode": True})

    def text_schema(self, schema: Schema) -> Schema:
        """Return the schema of the value as a text, given that of the value in JSON."""
        return schema


def filled(schema: Schema) -> Schema:
    """Return the schema of a value that is no blank text."""
    return {**schema, "minLength": 1} if schema.get("type") == "string" else schema


def or_blank(schema: Schema) -> Schema:
    """Return the schema of a value that may also be a blank text."""
    about = {k: v for k, v in schema.items() if k in {"title", "default"}}
    bare = {k: v for k, v in schema.items() if k not in about}
    if bare == {"type": "string"}:
        return schema
    return {**about, "anyOf": [bare, {"const": ""}]}

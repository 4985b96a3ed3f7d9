"""Conversion to WTForms and back, to migrate single forms or macros."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import decimal
import functools
import types
import typing as t
from enum import Enum

import annotated_types as at
import flask_wtf.file
import pydantic
import wtforms
from markupsafe import Markup
from werkzeug.datastructures import FileStorage
from werkzeug.datastructures import MultiDict

from flaskware_core import DeclarationError
from flaskware_forms._body.decoder import is_index
from flaskware_forms._errors.error import FormError
from flaskware_forms._errors.error import Path
from flaskware_forms._fields.choice import Boxes
from flaskware_forms._fields.choice import Choice
from flaskware_forms._fields.input import Leaf
from flaskware_forms._fields.node import Node
from flaskware_forms._fields.scalars import Files
from flaskware_forms._fields.structures import Group
from flaskware_forms._fields.structures import Series
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._markup.theme import safe
from flaskware_forms._schema.facets import Text
from flaskware_forms._schema.facets import Ui
from flaskware_forms._schema.values import text_of
from flaskware_forms._uploads.upload import Upload

wtf: t.Any = wtforms
wv: t.Any = wtforms.validators
wf: t.Any = flask_wtf.file
WTForm: t.TypeAlias = t.Any
"""A class or an object of WTForms, which has no type annotations."""

_FIELDS: dict[str, t.Any] = {
    "text": wtf.StringField, "search": wtf.SearchField, "tel": wtf.TelField,
    "textarea": wtf.TextAreaField, "password": wtf.PasswordField,
    "hidden": wtf.HiddenField, "email": wtf.EmailField, "url": wtf.URLField,
    "number": wtf.DecimalField, "checkbox": wtf.BooleanField, "date": wtf.DateField,
    "time": wtf.TimeField, "datetime-local": wtf.DateTimeLocalField,
    "select": wtf.SelectField, "radio": wtf.RadioField, "file": wtf.FileField,
}  # fmt: skip


def form_class(group: Group, name: str) -> WTForm:
    """A class of WTForms with the fields and the constraints of a model."""
    fields = {child.key: _unbound(child) for child in group.children}
    return type(f"{name}Form", (wtf.Form,), fields)


@functools.singledispatch
def _unbound(node: Node) -> t.Any:
    """A field of WTForms for a field, by its kind."""
    raise DeclarationError(f"{node.attribute} is a union, which WTForms lacks.")


def _common(node: Node) -> dict[str, t.Any]:
    return {"label": str(node.label), "description": str(node.hint or "")}


@_unbound.register
def _group(node: Group) -> t.Any:
    if node.recursive:
        raise DeclarationError(
            f"{node.attribute} is a model inside of itself, which WTForms lacks."
        )
    return wtf.FormField(form_class(node, node.attribute.title()), **_common(node))


@_unbound.register
def _series(node: Series) -> t.Any:
    item = _unbound(node.item)
    return wtf.FieldList(item, **_common(node), max_entries=node.max_length)


@_unbound.register
def _boxes(node: Boxes) -> t.Any:
    choices = _choices(t.cast("Choice", node.item))
    return wtf.SelectMultipleField(**_common(node), choices=choices)


@_unbound.register
def _files(node: Files) -> t.Any:
    return wtf.MultipleFileField(**_common(node))


@_unbound.register
def _choice(node: Choice) -> t.Any:
    blank = [_offer("", "")] if node.control == "select" and node.nullable else []
    return _leaf(node, choices=[*blank, *_choices(node)])


@_unbound.register
def _leaf(leaf: Leaf, **options: t.Any) -> t.Any:
    given = {name: str(value) for name, value in leaf.attributes}
    found: list[t.Any] = [wv.InputRequired()] if leaf.required else []
    if leaf.nullable:
        found.append(wv.Optional())
    shortest, longest = given.get("minlength"), given.get("maxlength")
    if shortest or longest:
        found.append(wv.Length(int(shortest or -1), int(longest or -1)))
    kind = _FIELDS.get(leaf.control, wtf.StringField)
    if leaf.control == "number":
        low, high = given.get("min"), given.get("max")
        if low is not None or high is not None:
            bounds = (b if b is None else decimal.Decimal(b) for b in (low, high))
            found.append(wv.NumberRange(*bounds))
        if "step" not in given:
            kind = wtf.IntegerField
    return kind(**_common(leaf), validators=found, **options)


def _offer(value: str, label: str) -> t.Any:
    # WTForms 3.3 has a class for what was a pair.
    kind = getattr(wtf.fields, "SelectChoice", None)
    return (value, label) if kind is None else kind(value, label)


def _choices(node: Choice) -> list[t.Any]:
    return [_offer(offer.text, str(offer.label)) for offer in node.offers()]


def to_wtforms_instance(
    schema: Group,
    name: str,
    values: cabc.Mapping[str, t.Any],
    errors: cabc.Mapping[Path, cabc.Sequence[FormError]],
) -> WTForm:
    """A form of WTForms with the values and the errors of a typed form."""
    shown = schema.shown(values)
    form = form_class(schema, name)(formdata=None, data=shown)
    _fill(form, shown, errors, ())
    return form


def _fill(
    form: t.Any,
    shown: cabc.Mapping[str, t.Any],
    errors: cabc.Mapping[Path, cabc.Sequence[FormError]],
    path: Path,
) -> None:
    for key, value in shown.items():
        # The fields of a tuple have the numbers of their positions as names.
        step = int(key) if is_index(key) else key
        _fill_field(form[key], value, errors, (*path, step))


def _fill_field(
    field: t.Any,
    shown: t.Any,
    errors: cabc.Mapping[Path, cabc.Sequence[FormError]],
    path: Path,
) -> None:
    if isinstance(field, wtf.FormField):
        _fill(field.form, shown, errors, path)
        return
    field.errors = [error.message for error in errors.get(path, ())]
    if isinstance(field, wtf.FieldList):
        for index, (entry, row) in enumerate(zip(field.entries, shown, strict=False)):
            _fill_field(entry, row, errors, (*path, index))
    elif not isinstance(shown, list | bool):
        # The text as it was typed, even if it is no number or no date. A box would send
        # that text when it is ticked, so "false" must not stand there.
        field.raw_data = [text_of(shown)]


_TYPES: list[tuple[t.Any, t.Any]] = [
    (wtf.BooleanField, bool), (wtf.IntegerField, int),
    (wtf.DecimalField, decimal.Decimal), (wtf.FloatField, float),
    (wtf.DateTimeField, dt.datetime), (wtf.DateField, dt.date),
    (wtf.TimeField, dt.time), (wtf.MultipleFileField, list[Upload]),
    (wtf.FileField, Upload), (wtf.PasswordField, pydantic.SecretStr),
    (wtf.EmailField, pydantic.EmailStr), (wtf.URLField, pydantic.AnyUrl),
    (wtf.StringField, str),
]  # fmt: skip
_WIDGETS: list[tuple[t.Any, t.Any]] = [
    (wtf.TextAreaField, "textarea"), (wtf.SearchField, "search"),
    (wtf.TelField, "tel"), (wtf.HiddenField, "hidden"), (wtf.RadioField, "radio"),
]  # fmt: skip
_REQUIRED = (wv.InputRequired, wv.DataRequired)


def from_wtforms(
    form: WTForm, *, leave_out: cabc.Collection[str] = ()
) -> type[pydantic.BaseModel]:
    """A Pydantic model with the fields and the constraints of a form of WTForms.

    A start for migrating a form. The types are known only at run time, so write the
    model out for the type checker in the end.

    :param form: The class of the form.
    :param leave_out: Fields whose own validators are left out, because the typed form
        has checks for them.
    :raises DeclarationError: listing each validator without a declaration, and each
        field of an unknown kind.
    """
    options = {"meta": {"csrf": False}}
    return _model_of(form(**options), form, frozenset(leave_out))


def _model_of(
    form: t.Any, form_class: t.Any, leave_out: frozenset[str]
) -> type[pydantic.BaseModel]:
    problems: list[str] = []
    fields: dict[str, t.Any] = {}
    for name, field in form._fields.items():
        if isinstance(field, wtf.SubmitField) or name == "csrf_token":
            continue
        own = [*field.validators]
        inline = getattr(form_class, f"validate_{name}", None)
        if inline is not None:
            own.append(inline)
        try:
            fields[name] = _field_of(field, leave_out)
        except TypeError as error:
            problems.append(str(error))
            continue
        if name not in leave_out:
            unknown = (
                getattr(each, "__name__", type(each).__name__)
                for each in own
                if not isinstance(each, _KNOWN)
            )
            problems.extend(
                f"{name}: {validator} has no declaration. Write it as"
                f' @spec.check("{name}"), and add the field to leave_out.'
                for validator in unknown
            )
    if problems:
        raise DeclarationError(
            f"{form_class.__name__} cannot be converted as it is:\n  "
            + "\n  ".join(problems)
        )
    config = pydantic.ConfigDict(regex_engine="python-re")
    return pydantic.create_model(form_class.__name__, __config__=config, **fields)


_KNOWN = (
    *_REQUIRED, wv.Optional, wv.Length, wv.NumberRange, wv.Regexp, wv.Email, wv.URL,
    wv.AnyOf, wv.UUID, wf.FileAllowed, wf.FileSize,
)  # fmt: skip


def _field_of(field: t.Any, leave_out: frozenset[str]) -> tuple[t.Any, t.Any]:
    kind = _kind_of(field, leave_out)
    found: dict[t.Any, t.Any] = {type(each): each for each in field.validators}
    is_group, is_list = isinstance(field, wtf.FormField), t.get_origin(kind) is list
    # A field may refuse nothing at all in its own way, such as "Not a valid choice".
    required = not is_group and (
        any(issubclass(each, _REQUIRED) for each in found)
        or (not is_list and _refusal_of(field, []) is not None)
    )
    kind = _narrowed(kind, found, required=required)
    marks = [*_marks(kind, found, required=required), _ui_of(field)]
    if isinstance(field, wtf.FieldList):
        marks.extend(_row_limits(field))
    if is_list:
        # Pydantic does not validate a default, and a body may have no row at all.
        least = [mark.min_length for mark in marks if isinstance(mark, at.MinLen)]
        required = required or len(field.object_data or ()) < max(least, default=0)
    if not is_group and not isinstance(field, wtf.BooleanField):
        marks.append(pydantic.WrapValidator(_refusing(field)))
        marks.extend(pydantic.AfterValidator(each) for each in field.filters)
    annotated: t.Any = t.Annotated[(kind, *marks)]
    default = field.object_data
    if kind is bool:
        return annotated, default or False
    if required or is_group:
        return annotated, ...
    if is_list:
        return annotated, default or []
    if kind is str:
        return annotated, default or ""
    return annotated | None, default


def _narrowed(kind: t.Any, found: dict[t.Any, t.Any], *, required: bool) -> t.Any:
    """The type that has only values which the validators take."""
    if wv.AnyOf in found and t.get_origin(kind) is not list:
        return t.Literal[tuple(found[wv.AnyOf].values)]
    if kind is bool and required:
        return t.Literal[True]
    if kind is str:
        for validator, narrower in _NARROWER:
            kind = narrower if validator in found else kind
    return kind


def _row_limits(field: t.Any) -> cabc.Iterator[t.Any]:
    """The number of rows that the source takes."""
    if field.max_entries:
        yield at.MaxLen(field.max_entries)
    # The source adds blank rows, which may not be valid.
    blank = _entry_of(field)
    if isinstance(blank, wtf.FormField) or _refusal_of(blank, [""]) is not None:
        yield at.MinLen(field.min_entries)


def _entry_of(field: t.Any) -> t.Any:
    """A row of a list of WTForms, without a value."""
    entry = field.unbound_field.bind(
        form=None, name="entry", prefix="", _meta=field.meta
    )
    entry.process(None)
    return entry


def _refusal_of(field: t.Any, values: list[t.Any]) -> str | None:
    """The error that a field of WTForms has for the values that a body has of it."""
    # A copy, as threads share the field. Its class makes another thing when called.
    own = object.__new__(t.cast("type[t.Any]", type(field)))
    own.__dict__.update(field.__dict__)
    own.validators = [each for each in field.validators if isinstance(each, _KNOWN)]
    if isinstance(field, wtf.FieldList):
        # The rows were validated one by one; here only their number counts.
        own.entries = [
            types.SimpleNamespace(data=value, errors=[], validate=bool)
            for value in values
        ]
    else:
        own.process(MultiDict((field.name, value) for value in values))
    return None if own.validate(None) else str(own.errors[0])


def _refusing(field: t.Any) -> cabc.Callable[[t.Any, t.Any], t.Any]:
    """A validator that refuses, after the type, what the field of WTForms refuses.

    WTForms and Pydantic differ in what an address, a blank or a date is. The field
    itself decides, so that a form is never weaker for being moved.
    """

    def check(value: t.Any, accept: cabc.Callable[[t.Any], t.Any]) -> t.Any:
        accepted = accept(value)
        if value is not None:
            refusal = _refusal_of(field, [*_sent_to(field, value, accepted)])
            if refusal is not None:
                raise ValueError(refusal)
        return accepted

    return check


def _sent_to(field: t.Any, value: t.Any, accepted: t.Any) -> cabc.Iterator[t.Any]:
    """Yield what a body has for a value that Pydantic accepted."""
    if isinstance(field, wtf.FieldList):
        yield from accepted
        return
    many = isinstance(accepted, list)
    for each in t.cast("list[t.Any]", accepted) if many else [accepted]:
        if isinstance(each, Upload):
            # FileStorage has no other way to be made, and does not close the file.
            yield FileStorage(
                each.open(), each.original_filename, content_type=each.content_type
            )
        elif many:
            yield text_of(each)
        else:
            yield text_of(value)


_NARROWER = (
    (wv.Email, pydantic.EmailStr), (wv.URL, pydantic.AnyUrl), (wv.UUID, pydantic.UUID4),
)  # fmt: skip


def _marks(
    kind: t.Any, found: dict[t.Any, t.Any], *, required: bool
) -> cabc.Iterator[t.Any]:
    length = found.get(wv.Length)
    shortest = length.min if length is not None else 0
    is_list = t.get_origin(kind) is list
    if (kind is str or is_list) and required:
        shortest = max(1, shortest)
    if shortest > 0:
        yield at.MinLen(shortest)
    if length is not None and length.max > 0:
        yield at.MaxLen(length.max)
    span = found.get(wv.NumberRange)
    if span is not None:
        yield at.Interval(ge=span.min, le=span.max)
    pattern = found.get(wv.Regexp)
    if pattern is not None:
        # WTForms matches from the start, Pydantic anywhere.
        text = f"^(?:{pattern.regex.pattern})"
        yield pydantic.StringConstraints(pattern=text)


def _ui_of(field: t.Any) -> Ui:
    labels: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    widget = next((name for cls, name in _WIDGETS if isinstance(field, cls)), None)
    if isinstance(field, wtf.SelectField):
        labels = {str(c[0]): str(c[1]) for c in field.iter_choices()}
        is_list = isinstance(field.widget, wtf.widgets.ListWidget)
        if isinstance(field, wtf.SelectMultipleField) and not is_list:
            widget = "select"
        if widget != "radio" and not is_list and field.has_groups():
            groups = {
                str(group): [str(c[0]) for c in choices]
                for group, choices in field.iter_groups()
                if group
            }
    attributes: dict[str, Text | bool | None] = {}
    for validator in field.validators:
        endings = getattr(validator, "upload_set", None)
        if isinstance(endings, cabc.Iterable):
            found = t.cast("cabc.Iterable[str]", endings)
            attributes["accept"] = ",".join(f".{each}" for each in found)
    return Ui(
        label=str(field.label.text),
        hint=str(field.description) or None,
        widget=widget,
        labels=labels,
        groups=groups,
        attributes=attributes,
    )


def _kind_of(field: t.Any, leave_out: frozenset[str]) -> t.Any:
    """The type of the data of a field."""
    if isinstance(field, wtf.FormField):
        return _model_of(field.form, field.form_class, leave_out)
    if isinstance(field, wtf.FieldList):
        entry = _entry_of(field)
        if isinstance(entry, (wtf.BooleanField, wtf.FileField)):
            raise DeclarationError(
                f"{field.short_name} is a FieldList of {type(entry).__name__}, of which"
                " a browser sends nothing for some rows. Write a FieldList of forms"
                " that have the field."
            )
        return list[_field_of(entry, leave_out)[0]]  # type: ignore[misc]
    if isinstance(field, wtf.SelectFieldBase):
        texts: list[t.Any] = [c[0] for c in field.iter_choices() if c[0] != ""]
        values = tuple(dict.fromkeys(field.coerce(text) for text in texts))
        if not values:
            raise DeclarationError(
                f"{field.short_name}: its choices are not known yet. Declare it by hand"
                " with Ui(choices=...)."
            )
        odd = [value for value in values if not isinstance(value, str | int | Enum)]
        if odd:
            raise DeclarationError(
                f"{field.short_name}: its coerce gives {type(odd[0]).__name__}, which"
                " is no choice of a type. Declare it by hand with Ui(choices=...)."
            )
        one: t.Any = t.Literal[values]
        return list[one] if isinstance(field, wtf.SelectMultipleField) else one
    for cls, kind in _TYPES:
        if isinstance(field, cls):
            return kind
    raise DeclarationError(f"{field.short_name}: {type(field).__name__} is unknown.")


def wtf_row(make_context: cabc.Callable[[], RenderContext], field: t.Any) -> Markup:
    """A field of a hand-written ``FlaskForm``, in the theme of the typed forms.

    In templates: ``{{ wtf_row(form.email) }}``.
    """
    context, invalid = make_context(), bool(field.errors)
    if isinstance(field, wtf.HiddenField):
        return safe(field())
    several = isinstance(field, (wtf.RadioField, wtf.FieldList, wtf.FormField))
    choice = isinstance(field, wtf.BooleanField)
    parts = (("hint", field.description), ("error", invalid))
    described = " ".join(f"{field.id}--{part}" for part, there in parts if there)
    options: dict[str, t.Any] = {"aria-invalid": "true"} if invalid else {}
    if not several:
        kind = str(getattr(field.widget, "input_type", "text"))
        kind = "select" if isinstance(field, wtf.SelectField) else kind
        css = context.classes(kind)[invalid]
        options |= {"aria-describedby": described} if described else {}
        if css:
            options["class"] = css.removeprefix(' class="').removesuffix('"')
    text, hint = str(field.label.text), ""
    if field.description:
        hint = context.text("hint", id=field.id, text=field.description)
    macro, label = "group", context.text("legend", text=text)
    if not several:
        macro = "choice" if choice else "field"
        label = context.text("label", id=field.id, text=text, choice=choice)
    found = context.text(
        macro,
        id=field.id,
        attrs="",
        state=safe(f' aria-describedby="{described}"' if described else ""),
        label=safe(label),
        hint=safe(hint),
        control=safe(field(**options)),
        errors=safe(context.error_text(field.id, map(str, field.errors))),
    )
    return safe(found)

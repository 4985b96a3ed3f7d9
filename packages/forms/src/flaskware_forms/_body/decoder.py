"""From the values that a browser sends to the data that Pydantic validates."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t
from urllib.parse import parse_qsl
from urllib.parse import quote
from urllib.parse import unquote

from flaskware_forms._errors.error import Path
from flaskware_forms._errors.problem import BadBody
from flaskware_forms._schema.values import is_on

Values: t.TypeAlias = list[t.Any]
Read: t.TypeAlias = cabc.Callable[[Values], t.Any]

ABSENT: t.Any = object()
"""Stands for a field that a body does not have."""

SHOWN = "*"
"""The last step of the name of a hidden input that says what a page shows.

A browser sends nothing for an unticked box or for a list without rows, so a page says
that it has them, as the management form of Django's formsets does.
"""

EXISTS = "+"
"""The value of such an input of an entry that exists, though it looks empty."""

EMPTY = "-"
"""The start of its value for a row that is no entry yet; what the row shows follows."""

LOCALE = "~"
"""The start of a hidden input's value for a number in a locale, whose tag follows."""

MARK = "="
"""The start of a hidden input's value before a control that cannot show a value.

The exact value follows. It counts if the control still has what it showed.
"""

_SEPARATORS = re.compile(r"[.\-\[\]]+")
# No setting allows more steps in a name.
_DEEPEST = 64
_INDEX = re.compile(r"0|[1-9][0-9]*")


class Decoded(dict[str, t.Any]):
    """The decoded fields of a model, and how a form differs from it."""

    __slots__ = ("foreign", "unknown", "unsent")

    def __init__(self) -> None:
        super().__init__()
        # Keys of fields that the form does not have, with a value only because the
        # model needs one.
        self.unsent: set[str] = set()
        # Names that start with a field of the form, and name nothing in it.
        self.unknown: list[Path] = []
        # The values of names that have nothing to do with the form.
        self.foreign: dict[str, Values] = {}


@dc.dataclass
class FormTree:
    """The values under one name, and those under longer names.

    :param shown: The value of the page's hidden input here; see :data:`SHOWN`.
    :param locale: The value of a hidden input for a number; see :data:`LOCALE`.
    """

    values: Values = dc.field(default_factory=list[t.Any])
    children: dict[str, FormTree] = dc.field(default_factory=dict[str, "FormTree"])
    shown: str | None = None
    locale: str = ""

    @property
    def marked_values(self) -> Values:
        """The values, after that of the locale if there is one."""
        return [self.locale, *self.values] if self.locale else self.values

    def is_blank(self) -> bool:
        """True if nothing is filled in."""
        return not any(self.values) and all(
            child.is_blank() for child in self.children.values()
        )

    def is_empty(self) -> bool:
        """True if it is no entry: nobody filled it in or changed what it shows."""
        if self.shown is None or not self.shown.startswith(EMPTY):
            return self.shown != EXISTS and self.is_blank()
        return self.is_blank() or self.is_as(_tree(self.shown[1:]))

    def is_as(self, other: FormTree) -> bool:
        """True if another has all that a page sent of it, but for blanks."""
        mine, others = ([v for v in tree.values if v] for tree in (self, other))
        # A page may show less.
        return mine == others and all(
            child.is_as(other.children.get(step, FormTree()))
            for step, child in self.children.items()
        )

    def rows(self) -> list[FormTree]:
        """The children with a number for a name, in order."""
        numbers = sorted(filter(is_index, self.children), key=int)
        return [self.children[number] for number in numbers]


def is_index(step: str) -> bool:
    """True if a step of a name is the number of a row, in its one way to write it."""
    return _INDEX.fullmatch(step) is not None


def _tree(query: str) -> FormTree:
    """The values of a query string as a tree."""
    return FormTree(children=grow(parse_qsl(query, keep_blank_values=True)))


def grow(pairs: cabc.Iterable[tuple[str, t.Any]]) -> dict[str, FormTree]:
    """Return the trees of names and values."""
    trees: dict[str, FormTree] = {}
    for name, value in pairs:
        steps = split(name)
        if steps[:1] != [SHOWN] and len(steps) in range(1, _DEEPEST):
            _grow(trees, steps, [value])
    return trees


class Reader(t.NamedTuple):
    """The reader of a field of one value.

    :param absent: The value of a field that a form does not have; :data:`ABSENT` if
        the model has a default, or demands the field.
    :param takes_locale: Whether it reads a number that a page may show in a locale.
    """

    read: Read
    absent: t.Any = ABSENT
    takes_locale: bool = False


class Nested(t.Protocol):
    """A field of several values."""

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any: ...

    def strays(self, tree: FormTree, path: Path) -> cabc.Iterator[Path]: ...


class Decoder:
    """Decodes the values of one form, or of a model inside of it.

    :param leaves: The readers of the fields of one value, by name.
    :param nested: The fields of several values, by name.
    """

    def __init__(
        self,
        leaves: cabc.Mapping[str, Reader],
        nested: cabc.Mapping[str, Nested],
    ) -> None:
        self._leaves = leaves
        self._nested = nested

    def decode(
        self,
        raw: cabc.Mapping[str, Values],
        *,
        max_depth: int,
        max_entries: int,
        keep_blank: bool = False,
    ) -> Decoded:
        """Decode lists of values by name.

        :param keep_blank: Whether rows that nobody filled in are kept.
        :raises BadBody: if there are more values, or they are nested deeper, than
            allowed.
        """
        if sum(map(len, raw.values())) > max_entries:
            raise BadBody(f"The form has more than {max_entries} values.")
        trees: dict[str, FormTree] = {}
        locales: dict[str, FormTree] = {}
        unknown: list[Path] = []
        foreign: dict[str, Values] = {}
        for name, values in raw.items():
            if name in self._leaves:
                continue
            steps = _SEPARATORS.split(name)
            if steps[0] in self._nested:
                while len(steps) > 1 and not steps[-1]:
                    del steps[-1]
                _check_steps(steps, max_depth, max_entries)
                _grow(trees, steps, values)
            elif steps[0] not in self._leaves:
                foreign[name] = values
            elif _is_locale(steps, values):
                _grow(locales, steps, values)
            else:
                unknown.append(tuple(steps))
        for key, tree in trees.items():
            unknown.extend(self._nested[key].strays(tree, (key,)))
        data = self._decode(raw, {**locales, **trees}, keep_blank)
        data.unknown, data.foreign = unknown, foreign
        return data

    def decode_tree(self, tree: FormTree, keep: bool) -> Decoded:
        """Decode a model inside of the form."""
        raw = {key: child.values for key, child in tree.children.items()}
        return self._decode(raw, tree.children, keep)

    def _decode(
        self, raw: cabc.Mapping[str, Values], trees: dict[str, FormTree], keep: bool
    ) -> Decoded:
        data = Decoded()
        get = raw.get
        for key, (read, absent, takes_locale) in self._leaves.items():
            values = get(key)
            if values:
                if takes_locale and key in trees and trees[key].locale:
                    values = [trees[key].locale, *values]
                data[key] = read(values)
            elif absent is not ABSENT:
                data[key] = absent
                data.unsent.add(key)
        for key, node in self._nested.items():
            tree = trees.get(key)
            value = node.decode(tree, keep)
            if value is not ABSENT:
                data[key] = value
                if tree is None:
                    data.unsent.add(key)
        return data


def split(name: str) -> list[str]:
    """Split the name of a control into its steps."""
    return [step for step in _SEPARATORS.split(name) if step]


def _is_locale(steps: list[str], values: Values) -> bool:
    return steps[1:] == [SHOWN] and all(str(v).startswith(LOCALE) for v in values)


def _check_steps(steps: list[str], max_depth: int, max_entries: int) -> None:
    if len(steps) > max_depth + (steps[-1] == SHOWN):
        raise BadBody(f"The form is nested more than {max_depth} levels deep.")
    for step in steps[1:]:
        # An index only orders entries, and no honest form has one this high.
        if step.isdecimal() and (len(step) > 9 or int(step) >= max_entries):
            raise BadBody(f"A list of the form has more than {max_entries} entries.")


def _grow(trees: dict[str, FormTree], steps: list[str], values: Values) -> None:
    tree = FormTree()
    shown = steps[-1] == SHOWN
    for step in steps[:-1] if shown else steps:
        tree = trees.setdefault(step, FormTree())
        trees = tree.children
    if shown:
        for value in map(str, values):
            if value.startswith(LOCALE):
                tree.locale = value
            else:
                tree.shown = value
    else:
        tree.values.extend(values)


# The readers of fields of one value stand beside the loop that calls them for each
# field of each request. They get one value or more.


def read_one(values: Values) -> t.Any:
    """Read a text; several values are left for Pydantic to refuse."""
    return values[0] if len(values) == 1 else values


def read_extras(values: cabc.Mapping[str, Values]) -> dict[str, t.Any]:
    """Read the texts of names that no field has; a file is left out."""
    return {
        name: read_one(found)
        for name, found in values.items()
        if found and all(isinstance(each, str) for each in found)
    }


def read_or_none(values: Values) -> t.Any:
    """Read a text, and a blank as ``None``."""
    value = read_one(values)
    return None if value == "" else value


def marked(exact: str) -> str:
    """The value of the hidden input beside a control that cannot show a text."""
    # A browser changes the line ends of every value that it sends.
    for sign in "%\r\n":
        exact = exact.replace(sign, quote(sign))
    return MARK + exact


def exact_of(values: Values) -> str | None:
    """The text that the hidden input before a control has; ``None`` without one."""
    first = values[0] if len(values) == 2 else None
    if not isinstance(first, str) or not first.startswith(MARK):
        return None
    text = unquote(first.removeprefix(MARK))
    # As in every other text of a form.
    return None if "\0" in text else text


def with_line_feeds(text: str) -> str:
    """A text as it was before a browser sent it (HTML, "form submission")."""
    return text.replace("\r\n", "\n")


class Blank(str):
    """An entry of a list that exists, and is no text: ``None``, shown as a blank."""

    __slots__ = ()


BLANK = Blank()


def read_bool(values: Values) -> t.Any:
    """Read a checkbox, after the hidden input that says that the page shows it."""
    return values[-1] or False


def read_consent(values: Values) -> t.Any:
    """Read a checkbox of ``Literal[True]``, which takes no text for ``True``."""
    value = read_bool(values)
    return is_on(value) or value


def converting(read: Read, convert: cabc.Callable[[str], t.Any]) -> Read:
    """Make a reader that converts text."""

    def run(values: Values) -> t.Any:
        value = read(values)
        return convert(value) if isinstance(value, str) else value

    return run


def translating(read: Read, meanings: cabc.Mapping[str, t.Any]) -> Read:
    """Make a reader that replaces each text which stands for a value."""
    return converting(read, lambda text: meanings.get(text, text))

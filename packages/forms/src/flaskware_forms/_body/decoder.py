"""From the values that a browser sends to the data that Pydantic validates."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

from flaskware_forms._errors.problem import BadBody
from flaskware_forms._schema.values import is_on

Values: t.TypeAlias = list[t.Any]
Read: t.TypeAlias = cabc.Callable[["Values | None"], t.Any]

ABSENT: t.Any = object()
"""Stands for a field that a body does not have."""

_SEPARATORS = re.compile(r"[.\-\[\]]+")


@dc.dataclass
class FormTree:
    """The values under one name, and those under longer names."""

    values: Values = dc.field(default_factory=list[t.Any])
    children: dict[str, FormTree] = dc.field(default_factory=dict[str, "FormTree"])

    def is_blank(self) -> bool:
        """True if nothing is filled in."""
        return not any(self.values) and all(
            child.is_blank() for child in self.children.values()
        )

    def rows(self) -> list[FormTree]:
        """The children with a number for a name, in order."""
        numbers = sorted((i for i in self.children if i.isdecimal()), key=int)
        return [self.children[number] for number in numbers]


class Decoder:
    """Decodes the values of one form, or of a model inside of it.

    :param leaves: The names of the fields of one value, and their readers.
    :param nested: The functions that read fields of several values, by name.
    """

    def __init__(
        self,
        leaves: cabc.Sequence[tuple[str, Read]],
        nested: cabc.Mapping[str, cabc.Callable[[FormTree | None, bool], t.Any]],
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
    ) -> dict[str, t.Any]:
        """Decode lists of values by name.

        :param keep_blank: Whether rows that nobody filled in are kept.
        :raises BadBody: if there are more values, or they are nested deeper, than
            allowed.
        """
        if sum(map(len, raw.values())) > max_entries:
            raise BadBody(f"The form has more than {max_entries} values.")
        if not self._nested:
            return self._read_leaves(raw)
        trees: dict[str, FormTree] = {}
        for name, values in raw.items():
            steps = _SEPARATORS.split(name)
            if steps[0] in self._nested:
                while len(steps) > 1 and not steps[-1]:
                    del steps[-1]
                _check_steps(steps, max_depth, max_entries)
                _grow(trees, steps, values)
        return self._decode(raw, trees, keep_blank)

    def decode_tree(self, tree: FormTree, keep: bool) -> dict[str, t.Any]:
        """Decode a model inside of the form."""
        raw = {
            key: child.values for key, child in tree.children.items() if child.values
        }
        return self._decode(raw, tree.children, keep)

    def _decode(
        self, raw: cabc.Mapping[str, Values], trees: dict[str, FormTree], keep: bool
    ) -> dict[str, t.Any]:
        data = self._read_leaves(raw)
        for key, decode in self._nested.items():
            value = decode(trees.get(key), keep)
            if value is not ABSENT:
                data[key] = value
        return data

    def _read_leaves(self, raw: cabc.Mapping[str, Values]) -> dict[str, t.Any]:
        get = raw.get
        return {
            key: value
            for key, read in self._leaves
            if (value := read(get(key))) is not ABSENT
        }


def split(name: str) -> list[str]:
    """Split the name of a control into its steps."""
    return [step for step in _SEPARATORS.split(name) if step]


def _check_steps(steps: list[str], max_depth: int, max_entries: int) -> None:
    if len(steps) > max_depth:
        raise BadBody(f"The form is nested more than {max_depth} levels deep.")
    for step in steps[1:]:
        # An index only orders entries, and no honest form has one this high.
        if step.isdecimal() and (len(step) > 9 or int(step) >= max_entries):
            raise BadBody(f"A list of the form has more than {max_entries} entries.")


def _grow(trees: dict[str, FormTree], steps: list[str], values: Values) -> None:
    tree = FormTree()
    for step in steps:
        tree = trees.setdefault(step, FormTree())
        trees = tree.children
    tree.values.extend(values)


# The readers of fields of one value stand beside the loop that calls them for each
# field of each request.


def read_one(values: Values | None) -> t.Any:
    """Read a text; several values are left for Pydantic to refuse."""
    if not values:
        return ABSENT
    return values[0] if len(values) == 1 else values


def read_or_none(values: Values | None) -> t.Any:
    """Read a text, and a blank as ``None``."""
    value = read_one(values)
    return None if value == "" else value


def read_bool(values: Values | None) -> t.Any:
    """Read a checkbox, which sends nothing unless it is ticked."""
    # The last, so that a hidden input may stand before the box.
    return values[-1] or False if values else False


def read_consent(values: Values | None) -> t.Any:
    """Read a checkbox of ``Literal[True]``, which takes no text for ``True``."""
    value = read_bool(values)
    return is_on(value) or value


def converting(read: Read, convert: cabc.Callable[[str], t.Any]) -> Read:
    """Make a reader that converts text."""

    def run(values: Values | None) -> t.Any:
        value = read(values)
        return convert(value) if isinstance(value, str) else value

    return run


def translating(read: Read, meanings: cabc.Mapping[str, t.Any]) -> Read:
    """Make a reader that replaces each text which stands for a value."""
    return converting(read, lambda text: meanings.get(text, text))

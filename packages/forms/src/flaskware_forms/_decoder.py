"""From what a browser sends to what Pydantic validates, as the schema says."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import re
import typing as t

from ._problem import BadBody
from ._schema import Group
from ._schema import Leaf
from ._schema import Series
from ._values import is_on

Values: t.TypeAlias = list[t.Any]
Read: t.TypeAlias = cabc.Callable[["Values | None"], t.Any]

ABSENT: t.Any = object()
_SEPARATORS = re.compile(r"[.\-\[\]]+")
_NUMERIC = re.compile(r"[-+]?[0-9.]+")


@dc.dataclass
class Twig:
    """What came under one name: values, and what came under longer names."""

    values: Values = dc.field(default_factory=list[t.Any])
    children: dict[str, Twig] = dc.field(default_factory=dict[str, "Twig"])

    def is_blank(self) -> bool:
        """Whether nobody wrote anything here."""
        return not any(self.values) and all(
            child.is_blank() for child in self.children.values()
        )


class Decoder:
    """Decodes the bodies of one form.

    :param schema: What the model was compiled to.
    """

    def __init__(self, schema: Group) -> None:
        self._plan = _Plan(schema)
        self._heads = {
            child.key for child in schema.children if not isinstance(child, Leaf)
        }

    def decode(
        self, raw: dict[str, Values], *, max_depth: int, max_entries: int
    ) -> dict[str, t.Any]:
        """Decode lists of values by name.

        :raises BadBody: if there are more values, or they are nested deeper, than
            allowed.
        """
        if sum(map(len, raw.values())) > max_entries:
            raise BadBody(f"The form has more than {max_entries} values.")
        if not self._heads:
            return self._plan.leaves(raw)
        twigs: dict[str, Twig] = {}
        for name, values in raw.items():
            steps = _SEPARATORS.split(name)
            if steps[0] in self._heads:
                while len(steps) > 1 and not steps[-1]:
                    del steps[-1]
                _check_steps(steps, max_depth, max_entries)
                _grow(twigs, steps, values)
        return self._plan.decode(raw, twigs)


def _check_steps(steps: list[str], max_depth: int, max_entries: int) -> None:
    if len(steps) > max_depth:
        raise BadBody(f"The form is nested more than {max_depth} levels deep.")
    for step in steps[1:]:
        # An index only orders entries, and no honest form has one this high.
        if step.isdecimal() and (len(step) > 9 or int(step) >= max_entries):
            raise BadBody(f"A list of the form has more than {max_entries} entries.")


def _grow(twigs: dict[str, Twig], steps: list[str], values: Values) -> None:
    twig = Twig()
    for step in steps:
        twig = twigs.setdefault(step, Twig())
        twigs = twig.children
    twig.values.extend(values)


class _Plan:
    """How the fields of one model are read."""

    def __init__(self, group: Group) -> None:
        self._leaves: list[tuple[str, Read]] = []
        self._containers: list[tuple[str, _SeriesPlan | _GroupPlan]] = []
        for child in group.children:
            if isinstance(child, Leaf):
                self._leaves.append((child.key, reader(child)))
            elif isinstance(child, Series):
                self._containers.append((child.key, _SeriesPlan(child)))
            elif isinstance(child, Group):
                self._containers.append((child.key, _GroupPlan(child)))

    def leaves(self, raw: cabc.Mapping[str, Values]) -> dict[str, t.Any]:
        get = raw.get
        return {
            key: value
            for key, read in self._leaves
            if (value := read(get(key))) is not ABSENT
        }

    def decode(
        self, raw: cabc.Mapping[str, Values], twigs: dict[str, Twig]
    ) -> dict[str, t.Any]:
        data = self.leaves(raw)
        for key, plan in self._containers:
            value = plan.decode(twigs.get(key))
            if value is not ABSENT:
                data[key] = value
        return data

    def decode_twig(self, twig: Twig) -> dict[str, t.Any]:
        raw = {
            key: child.values for key, child in twig.children.items() if child.values
        }
        return self.decode(raw, twig.children)


class _GroupPlan:
    def __init__(self, group: Group) -> None:
        self._plan = _Plan(group)
        self._nullable = group.nullable
        self._has_default = group.has_default

    def decode(self, twig: Twig | None) -> t.Any:
        if twig is None and self._has_default:
            return ABSENT
        if self._nullable and (twig is None or twig.is_blank()):
            return None
        return self._plan.decode_twig(twig or Twig())


class _SeriesPlan:
    def __init__(self, series: Series) -> None:
        item = series.item
        self._nullable = series.nullable
        self._read = reader(item) if isinstance(item, Leaf) else None
        self._plan = _Plan(item) if isinstance(item, Group) else None

    def decode(self, twig: Twig | None) -> t.Any:
        if twig is None:
            # A browser sends nothing for a list of boxes of which none is ticked.
            return ABSENT if self._nullable else []
        rows = [
            twig.children[index]
            for index in sorted((i for i in twig.children if i.isdecimal()), key=int)
        ]
        if self._plan is not None:
            plan = self._plan
            entries = [plan.decode_twig(row) for row in rows if not row.is_blank()]
        else:
            read = t.cast("Read", self._read)
            values = [*twig.values, *(value for row in rows for value in row.values)]
            entries = [read([value]) for value in values if value]
        return None if self._nullable and not entries else entries


def reader(leaf: Leaf) -> Read:
    """The function that reads one value out of those that came under its name."""
    if leaf.control == "checkbox":
        return _read_consent if leaf.required else _read_bool
    if leaf.choices:
        by_text = {choice.text: choice.value for choice in leaf.choices}
        return _then(leaf, lambda value: by_text.get(value, value))
    if leaf.temporal:
        return _then(leaf, _refuse_timestamp)
    if leaf.control == "textarea":
        # Browsers send CR LF (HTML, "form submission"), and count lengths with LF.
        return _then(leaf, lambda value: value.replace("\r\n", "\n"))
    return _read_or_none if leaf.nullable else _read_one


def _read_one(values: Values | None) -> t.Any:
    if not values:
        return ABSENT
    # Of several values none is more right than another: Pydantic refuses the list.
    return values[0] if len(values) == 1 else values


def _read_or_none(values: Values | None) -> t.Any:
    value = _read_one(values)
    return None if value == "" else value


def _read_bool(values: Values | None) -> t.Any:
    # The last, so that a hidden input may stand before the box.
    return values[-1] or False if values else False


def _read_consent(values: Values | None) -> t.Any:
    # Literal[True] takes no text, also none that means true.
    value = _read_bool(values)
    return is_on(value) or value


def _then(leaf: Leaf, convert: cabc.Callable[[str], t.Any]) -> Read:
    read = _read_or_none if leaf.nullable else _read_one

    def run(values: Values | None) -> t.Any:
        value = read(values)
        return convert(value) if isinstance(value, str) else value

    return run


def _refuse_timestamp(value: str) -> str:
    # Pydantic takes a number for seconds since 1970. Nobody writes a date so.
    return "not a timestamp" if _NUMERIC.fullmatch(value.strip()) else value


def depth_and_entries(data: t.Any) -> tuple[int, int]:
    """How deep JSON data is nested, and how many values it holds."""
    depth, entries, level = 0, 0, [data]
    while level:
        entries += len(level)
        below: list[t.Any] = []
        for item in level:
            if isinstance(item, dict):
                below.extend(t.cast("dict[str, t.Any]", item).values())
            elif isinstance(item, list):
                below.extend(t.cast("list[t.Any]", item))
        depth += any(isinstance(item, dict | list) for item in level)
        level = below
    return depth, entries

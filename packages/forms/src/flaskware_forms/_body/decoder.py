"""From what a browser sends to what Pydantic validates, as the schema says."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import re
import typing as t

from flaskware_forms._errors.problem import BadBody
from flaskware_forms._schema.nodes import Group
from flaskware_forms._schema.nodes import Leaf
from flaskware_forms._schema.nodes import Node
from flaskware_forms._schema.nodes import Series
from flaskware_forms._schema.nodes import Variants
from flaskware_forms._schema.values import is_on

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


class Rows(list[t.Any]):
    """The rows of a list exactly as they stood in a form, blank ones too."""


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
        self,
        raw: dict[str, Values],
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
        return self._plan.decode(raw, twigs, keep_blank)


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
        self._containers: list[tuple[str, _Nested]] = []
        for child in group.children:
            if isinstance(child, Leaf):
                self._leaves.append((child.key, reader(child)))
            else:
                self._containers.append((child.key, _nested(child)))

    def leaves(self, raw: cabc.Mapping[str, Values]) -> dict[str, t.Any]:
        get = raw.get
        return {
            key: value
            for key, read in self._leaves
            if (value := read(get(key))) is not ABSENT
        }

    def decode(
        self, raw: cabc.Mapping[str, Values], twigs: dict[str, Twig], keep: bool
    ) -> dict[str, t.Any]:
        data = self.leaves(raw)
        for key, plan in self._containers:
            value = plan.decode(twigs.get(key), keep)
            if value is not ABSENT:
                data[key] = value
        return data

    def decode_twig(self, twig: Twig, keep: bool) -> dict[str, t.Any]:
        raw = {
            key: child.values for key, child in twig.children.items() if child.values
        }
        return self.decode(raw, twig.children, keep)


class _Nested(t.Protocol):
    """How what came under one name, and under longer ones, is read."""

    def decode(self, twig: Twig | None, keep: bool) -> t.Any: ...


def _nested(node: Node) -> _Nested:
    if isinstance(node, Group):
        return _GroupPlan(node)
    if isinstance(node, Variants):
        return _VariantsPlan(node)
    return _SeriesPlan(t.cast("Series", node))


class _GroupPlan:
    def __init__(self, group: Group) -> None:
        self._group = group
        self._nullable = group.nullable
        self._has_default = group.has_default

    @functools.cached_property
    def plan(self) -> _Plan:
        # Made when it is needed, as a model may hold itself.
        return _Plan(self._group)

    def decode(self, twig: Twig | None, keep: bool) -> t.Any:
        if twig is None and (self._has_default or self._group.recursive):
            return ABSENT
        if self._nullable and (twig is None or (twig.is_blank() and not keep)):
            return None
        return self.plan.decode_twig(twig or Twig(), keep)


class _VariantsPlan:
    def __init__(self, variants: Variants) -> None:
        self._variants = variants
        self._plans = {
            text: _GroupPlan(case.group) for text, case in variants.by_text.items()
        }

    def decode(self, twig: Twig | None, keep: bool) -> t.Any:
        variants = self._variants
        if twig is None and variants.has_default:
            return ABSENT
        tags = twig.children.get(variants.tag) if twig is not None else None
        # The last, so that a hidden input may stand before radio buttons.
        tag = tags.values[-1] if tags is not None and tags.values else ""
        if twig is None or not tag:
            if variants.nullable and (twig is None or twig.is_blank() or tags):
                return None
            return {}
        case = variants.by_text.get(tag)
        if case is None:
            return {variants.tag: tag}
        own = twig.children.get(case.step)
        if own is not None:
            # Each model has names of its own in our markup; others write "pay.iban".
            twig = Twig(twig.values, {**twig.children, **own.children})
        data = self._plans[tag].plan.decode_twig(twig, keep)
        return {variants.tag: case.choice.value, **data}


class _SeriesPlan:
    def __init__(self, series: Series) -> None:
        item = series.item
        self._nullable = series.nullable
        self._read = reader(item) if isinstance(item, Leaf) else None
        self._plan = None if isinstance(item, Leaf) else _nested(item)
        self._one_control = series.is_one_control

    def decode(self, twig: Twig | None, keep: bool) -> t.Any:
        if twig is None:
            # A browser sends nothing for a list of boxes of which none is ticked.
            return ABSENT if self._nullable else Rows() if keep else []
        rows = [
            twig.children[index]
            for index in sorted((i for i in twig.children if i.isdecimal()), key=int)
        ]
        keep = keep and not self._one_control
        if self._plan is not None:
            plan = self._plan
            entries = [
                plan.decode(row, keep) for row in rows if keep or not row.is_blank()
            ]
        else:
            read = t.cast("Read", self._read)
            values = [*twig.values, *(value for row in rows for value in row.values)]
            entries = [read([value]) for value in values if value or keep]
        if keep:
            return Rows(entries)
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

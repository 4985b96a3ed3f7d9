"""What a model is compiled to: a tree of the controls of its form."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import functools
import typing as t

from .controls import Attribute
from .controls import Choice
from .controls import Control


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One field of a model: what its name, label and absence are."""

    key: str
    attribute: str
    label: str
    hint: str | None
    nullable: bool
    has_default: bool
    default: t.Any
    """A default value, or nothing where there is a factory or no default."""

    factory: cabc.Callable[[], t.Any] | None
    messages: cabc.Mapping[str, str] = dc.field(default_factory=dict[str, str])
    """What is said instead of the usual sentence, by the code of an error."""

    def initial(self) -> t.Any:
        """What the field holds before anybody filled it in."""
        return self.factory() if self.factory is not None else self.default


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Leaf(Node):
    """A field with one value, shown as one control."""

    control: Control
    required: bool
    choices: tuple[Choice, ...] = ()
    source: cabc.Callable[[], cabc.Iterable[t.Any]] | None = None
    """Where the choices come from that are known only when they are shown."""

    attributes: tuple[Attribute, ...] = ()
    rows: int | None = None
    temporal: bool = False
    max_bytes: int | None = None


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Series(Node):
    """A field with any number of values of one kind."""

    item: Node
    blank_rows: int
    max_length: int | None

    @property
    def is_one_control(self) -> bool:
        """Whether one control, or one set of boxes, stands for all entries."""
        item = self.item
        return isinstance(item, Leaf) and (
            bool(item.choices) or item.source is not None or item.control == "file"
        )


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Group(Node):
    """A nested model, or the whole form."""

    make: cabc.Callable[[], tuple[Node, ...]]
    """Makes the children when they are first needed, as a model may hold itself."""

    recursive: bool = False
    """Whether the model is inside of itself here."""

    @functools.cached_property
    def children(self) -> tuple[Node, ...]:
        """The fields of the model."""
        return self.make()

    @functools.cached_property
    def by_key(self) -> dict[str, Node]:
        """The children by the name that a body uses."""
        return {child.key: child for child in self.children}


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One model of a union, and the value of the discriminator that stands for it."""

    choice: Choice
    step: str
    """What stands before its fields in the name of a control, so that the controls
    of two models never have the same name."""

    group: Group


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Variants(Node):
    """A union of models that one of their fields tells apart."""

    tag: str
    """The key of that field."""

    tag_attribute: str
    cases: tuple[Case, ...]

    @functools.cached_property
    def by_text(self) -> dict[str, Case]:
        """The models by what a form sends for them."""
        return {case.choice.text: case for case in self.cases}

    def case_of(self, tag: t.Any) -> Case | None:
        """The model that a value of the discriminator, or its text, stands for."""
        for case in self.cases:
            if tag == case.choice.value or tag == case.choice.text:
                return case
        return None


def may_stay_blank(node: Node) -> Node:
    """The field inside of something optional, which a browser lets stay empty.

    An empty row is no entry, so a browser must not ask for its fields, and no default
    may stand in them.
    """
    return _relaxed(node, defaults=False)


def may_be_left_out(node: Node) -> Node:
    """The field of a model of a union, which is not sent where another is chosen."""
    return _relaxed(node, defaults=True)


def _relaxed(node: Node, *, defaults: bool) -> Node:
    if isinstance(node, Group):
        group = node
        return dc.replace(
            group,
            make=lambda: tuple(
                _relaxed(child, defaults=defaults) for child in group.children
            ),
        )
    if isinstance(node, Leaf):
        attributes = tuple(pair for pair in node.attributes if pair[0] != "required")
        node = dc.replace(node, attributes=attributes)
        if not defaults:
            node = dc.replace(node, has_default=False, default=None)
    return node

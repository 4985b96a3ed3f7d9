"""The base of all kinds of field."""
# ruff: noqa: ARG002 - the base ignores what its kinds need

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_forms._body.decoder import ABSENT
from flaskware_forms._body.decoder import FormTree
from flaskware_forms._body.decoder import grow
from flaskware_forms._body.decoder import Read
from flaskware_forms._errors.error import Path
from flaskware_forms._markup.names import ControlNames
from flaskware_forms._markup.theme import RenderContext
from flaskware_forms._schema.facets import Text

if t.TYPE_CHECKING:
    from .builder import Builder
    from .choice import Choice
    from .flat_schema import FlatName
    from .flat_schema import Schema
    from .input import Leaf
    from .place import Place
    from .structures import Case
    from .structures import Group
    from .structures import Series

Leaves: t.TypeAlias = "cabc.Iterator[tuple[Leaf, int]]"
Texts: t.TypeAlias = "cabc.Iterator[tuple[str, str]]"
Unoffered: t.TypeAlias = "cabc.Iterator[tuple[Path, Choice]]"


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One field of a model.

    A kind of field is a subclass. It knows how the field is read from a form, shown as
    markup, described as a schema, and addressed by a path or by the name of a control.

    :param key: Its name in a body.
    :param attribute: Its name in the model.
    :param default: A default value; ``None`` with a factory or without a default.
    :param messages: The app's own sentences, by the code of an error.
    """

    # True if its controls have names of several steps.
    nested: t.ClassVar[bool] = True
    # True if it has any number of values.
    many: t.ClassVar[bool] = False
    # True if one control, or one set of boxes, stands for all of its values.
    one_control: t.ClassVar[bool] = False
    # True if it is a number that a page may show in a locale.
    takes_locale: t.ClassVar[bool] = False
    # True if its value is never kept or sent back.
    is_secret: t.ClassVar[bool] = False
    # The class of its markup.
    builder: t.ClassVar[type[Builder[t.Any]]]
    # The kind of a list of such fields, if it is not one of rows.
    series: t.ClassVar[type[Series] | None] = None

    key: str
    attribute: str
    label: Text
    hint: Text | None = None
    nullable: bool = False
    has_default: bool = False
    default: t.Any = None
    factory: cabc.Callable[[], t.Any] | None = None
    # True if a request cannot change it.
    locked: bool = False
    messages: cabc.Mapping[str, Text] = dc.field(default_factory=dict[str, Text])

    @property
    def inner(self) -> tuple[Node, ...]:
        """The fields inside of it, without those of a model inside of itself."""
        return ()

    # Read from a form.

    def reader(self) -> Read:
        """The function that reads a field of one value."""
        raise NotImplementedError

    def decode(self, tree: FormTree | None, keep: bool) -> t.Any:
        """Read a field of several values.

        :param keep: Whether rows that nobody filled in are kept.
        """
        raise NotImplementedError

    @property
    def absent(self) -> t.Any:
        """The value of a field of one value that a form does not have."""
        return ABSENT

    def decode_entries(self, tree: FormTree, keep: bool) -> list[t.Any]:
        """Read the entries of a list of such fields."""
        return [
            None if row.is_empty() else self.decode(row, keep)
            for row in tree.rows()
            if keep or not row.is_empty()
        ]

    def strays(self, tree: FormTree, path: Path) -> cabc.Iterator[Path]:
        """Yield each name here that names no field, such as one of a wrong shape."""
        raise NotImplementedError

    def texts(self, name: str, value: t.Any) -> Texts:
        """Yield the names and the texts that a browser sends for it untouched.

        :param name: The name of its control.
        :param value: As :meth:`initial_from` gives it.
        """
        raise NotImplementedError

    def row_marks(self, value: t.Any) -> cabc.Iterator[str]:
        """Yield what a page says beside a row of it, where its controls do not."""
        return iter(())

    def leaves(self, times: int = 1) -> Leaves:
        """Yield every field of one value here, and how often it may occur."""
        for node in self.inner:
            yield from node.leaves(times)

    def unoffered(self, value: t.Any, path: Path) -> Unoffered:
        """Yield each field whose validated value is not among its asked choices."""
        return iter(())

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:
        """The code of an error of Pydantic, and the code of the sentence for it."""
        return code, code

    def existence(self, value: t.Any) -> str:
        """The value of the hidden input that says that a page shows the field."""
        return ""

    def is_marked(self, value: t.Any) -> bool:
        """True if a hidden input beside its control has a part of the value."""
        return False

    def echo(self, value: t.Any) -> t.Any:
        """The decoded value if a page that shows a value is sent back untouched.

        Some values cannot be shown as they are: no control keeps all line ends.
        """
        tree = grow(self.texts("x", self.initial_from(value))).get("x") or FormTree()
        if self.nested:
            return self.decode(tree, False)
        return self.reader()(tree.marked_values) if tree.values else self.absent

    def patched(self, sent: t.Any, current: t.Any) -> t.Any:
        """The value after a JSON body that changes a value (RFC 7396)."""
        return sent

    def guarded(self, sent: t.Any, source: object, *, for_page: bool = False) -> t.Any:
        """The decoded data, without what a request cannot change.

        :param source: The object with the values of the fields that are locked.
        :param for_page: Whether the data is to be shown, and so has every such field.
        """
        return sent

    # Shown as markup.

    @property
    def needed(self) -> bool | None:
        """True if it must be filled in; ``None`` where a mark would say nothing."""
        return None

    def initial(self) -> t.Any:
        """The value before anybody filled in the field."""
        return self.factory() if self.factory is not None else self.default

    def initial_from(self, value: t.Any) -> t.Any:
        """The value that its controls show for a value of an object."""
        return value

    def shown(self, value: t.Any) -> t.Any:
        """The text, or the structure of texts, of a value."""
        raise NotImplementedError

    def build(self, names: ControlNames, context: RenderContext) -> Builder[t.Any]:
        """Make its markup for one place of one form."""
        return self.builder(self, names, context).finish()

    def as_entry(self, label: str) -> Node:
        """The field as an entry of a list."""
        return dc.replace(self, label=label)

    def relaxed(self) -> Node:
        """The field inside of a part that may stay empty, and so is not required."""
        return self

    @property
    def grows(self) -> bool:
        """True if a button adds something to it."""
        return any(node.grows for node in self.inner)

    @property
    def holds_itself(self) -> bool:
        """True if a row of it contains a model inside of itself."""
        return any(node.holds_itself for node in self.inner)

    def grown(self, value: t.Any, max_entries: int) -> t.Any:
        """The value with one more row; ``None`` if it takes none."""
        return None

    def without(self, value: t.Any, index: int) -> t.Any:
        """The value without one of its rows; ``None`` if there is no such row."""
        return None

    # Described as a schema.

    def describe(self, at: FlatName, schema: Schema) -> None:
        """Add its controls to the schema of a form."""
        raise NotImplementedError

    def describe_entries(
        self,
        at: FlatName,
        schema: Schema,
        required: bool,
    ) -> None:
        """Add the controls of a list of such fields, given the schema of the list."""
        at.first_row().add(self, schema.get("items", {}))

    # Addressed by a path or a name.

    def child(self, step: str | int) -> Node | None:
        """The field that one step of a path leads to."""
        return None

    def case_of(self, tag: t.Any) -> Case | None:
        """The model that a value of the discriminator stands for."""
        return None

    def enter(self, place: Place, step: str) -> Place | None:
        """The place that one step of a control's name leads to."""
        return None

    def choose(self, place: Place) -> Place | None:
        """The place of the model that is chosen here; the same without a choice."""
        return place

    def anchor(self, id: str) -> str:
        """The id that the error summary leads to."""
        return id

    @property
    def keys(self) -> Leaf | None:
        """The field of its keys, if it is a dictionary."""
        return None

    @property
    def model_group(self) -> Group | None:
        """The model of it, or of each entry of it."""
        return None

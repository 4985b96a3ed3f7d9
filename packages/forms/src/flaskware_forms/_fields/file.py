"""Fields of uploaded files."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import typing as t

from flaskware_forms._schema.facets import Facets
from flaskware_forms._uploads.upload import Upload

from .builder import Attribute
from .builder import attributes_text
from .builder import ErrorsAt
from .builder import FieldsetBuilder
from .input import BlankBuilder
from .input import Leaf
from .series import Series

if t.TYPE_CHECKING:
    from .flat_schema import FlatName
    from .flat_schema import Schema


class FilesBuilder(FieldsetBuilder["Files"]):
    """One control that takes several files."""

    kind = "files"
    input_kind = "file"

    def control(self, value: t.Any, errors: ErrorsAt) -> str:  # noqa: ARG002
        attributes = attributes_text(t.cast("FileInput", self.node.item).attributes)
        return (
            f'<input type="file" multiple id="{self.id}" name="{self.name}"'
            f' aria-label="{self.text}"{attributes}{self.input_state(errors)}>'
        )


class Files(Series):
    """Several files, sent by one control."""

    one_control = True
    builder = FilesBuilder


@dc.dataclass(frozen=True, kw_only=True, eq=False)
class FileInput(Leaf, control="file", types=(Upload,)):
    """One file."""

    builder = BlankBuilder
    series = Files
    is_file = True
    # A file is not sent again.
    is_live = False
    max_bytes: int | None = None
    """The size of the file at most, if declared."""

    @classmethod
    def options(cls, found: Facets) -> dict[str, t.Any]:
        return {"max_bytes": found.image.max_bytes if found.image else None}

    @classmethod
    def constraints(cls, found: Facets) -> cabc.Iterator[Attribute]:
        if found.image is not None:
            yield "accept", found.image.accept

    def describe(self, at: FlatName, schema: Schema) -> None:
        super().describe(at, schema)
        at.encode({"contentType": self._accepted})

    def describe_entries(self, at: FlatName, schema: Schema) -> None:
        super().describe_entries(at, schema)
        at.encode({"contentType": self._accepted})

    @property
    def _accepted(self) -> str:
        accept = dict(self.attributes).get("accept")
        types = [part for part in (accept or "").split(",") if "/" in part]
        return ", ".join(types) or "application/octet-stream"

    def error_codes(self, code: str, value: t.Any) -> tuple[str, str]:  # noqa: ARG002
        return code, code

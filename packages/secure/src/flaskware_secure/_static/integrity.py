"""Hashes of an app's static files (W3C Subresource Integrity)."""

from __future__ import annotations

import base64
import collections.abc as cabc
import hashlib
import json
import typing as t
from pathlib import Path

import pydantic


class IntegrityError(RuntimeError):
    """A static file has no hash: it does not exist, or is not in the manifest."""


def integrity_of(content: bytes) -> str:
    """Return the ``integrity`` of a file: SHA-384, as the standard recommends."""
    return f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}"


class FileHashes:
    """Hashes of files, renewed when the size or the time of a file changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, int, str]] = {}

    def of(self, path: Path) -> str:
        """Return the ``integrity`` of a file.

        :raises IntegrityError: if it cannot be read.
        """
        key = str(path)
        try:
            status = path.stat()
            known = self._known.get(key)
            if known is not None and known[:2] == (status.st_size, status.st_mtime_ns):
                return known[2]
            found = integrity_of(path.read_bytes())
        except OSError as error:
            raise IntegrityError(
                f"{key} cannot be read, so it has no integrity: {error.strerror}."
            ) from None
        self._known[key] = (status.st_size, status.st_mtime_ns, found)
        return found


# Browsers ignore metadata of another algorithm, and then load any file (W3C SRI,
# section 3.5). The number is the length of the digest in bytes.
_DIGESTS = {"sha256": 32, "sha384": 48, "sha512": 64}


def _refuse_ignored(value: str) -> str:
    if not value.split():
        raise ValueError("no hash: browsers would load any file")
    for part in value.split():
        algorithm, _, digest = part.partition("-")
        if algorithm not in _DIGESTS:
            raise ValueError(f"browsers ignore {algorithm!r}; write sha384-…")
        try:
            length = len(base64.b64decode(digest, validate=True))
        except ValueError:
            length = 0
        if length != _DIGESTS[algorithm]:
            raise ValueError(f"not the base64 of a digest of {algorithm}")
    return value


Manifest: t.TypeAlias = dict[
    str, dict[str, t.Annotated[str, pydantic.AfterValidator(_refuse_ignored)]]
]
"""The ``integrity`` of each file, by its endpoint and name."""


def read_manifest(path: Path) -> Manifest:
    """Read a manifest that ``flask secure manifest`` wrote.

    :raises ValueError: if the file is not a manifest, or has an ``integrity`` that
        browsers ignore.
    :raises OSError: if it cannot be read.
    """
    return pydantic.TypeAdapter(Manifest).validate_json(path.read_bytes())


def write_manifest(path: Path, folders: cabc.Mapping[str, Path]) -> int:
    """Hash every file of the folders, by the endpoints that serve them.

    :return: The number of files in the manifest.
    """
    manifest = {
        endpoint: {
            file.relative_to(folder).as_posix(): integrity_of(file.read_bytes())
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        for endpoint, folder in folders.items()
    }
    text = json.dumps(manifest, indent=2, sort_keys=True)
    # Replaced in one step: a server may read the file at this moment.
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(f"{text}\n", encoding="utf-8")
    fresh.replace(path)
    return sum(map(len, manifest.values()))

"""Names for uploaded files that are safe on every file system."""

from __future__ import annotations

import os
import secrets
import shutil
import typing as t
import unicodedata
from pathlib import Path

# File systems take 255 bytes at most; if they encrypt names, 143.
_MAX_BYTES = 120
_MAX_SUFFIX = 20
# Windows opens a device under these names, whatever their suffix is.
_DEVICES = frozenset(
    {"con", "prn", "aux", "nul"}
    | {f"{port}{number}" for port in ("com", "lpt") for number in range(10)}
)


def safe_filename(name: str) -> str:
    """Return a name without directories or special characters, safe in a path.

    Letters and digits of every script are kept, a long name is shortened before its
    suffix, and a name without any letter becomes ``"file"``.

    Werkzeug's ``secure_filename`` drops every letter beyond ASCII, so that a name in
    Cyrillic is lost, and never shortens. The package pathvalidate keeps spaces, quotes
    and leading hyphens, which commands misread.
    """
    kept = "".join(
        # Letters, numbers, and the marks that some scripts write vowels with.
        char if char in ".-" or unicodedata.category(char)[0] in "LNM" else "_"
        for char in unicodedata.normalize("NFKC", name)
    )
    while "__" in kept:
        kept = kept.replace("__", "_")
    stem, suffix = os.path.splitext(kept.strip("._-"))  # noqa: PTH122
    if len(suffix.encode()) > _MAX_SUFFIX:
        stem, suffix = stem + suffix, ""
    room = _MAX_BYTES - len(suffix.encode())
    stem = stem.encode()[:room].decode(errors="ignore").strip("._-") or "file"
    if stem.partition(".")[0].lower() in _DEVICES:
        stem = f"_{stem}"
    return stem + suffix


def copy_to(stream: t.IO[bytes], path: Path, filename: str) -> Path:
    """Copy a file to a path that does not exist yet, and return it.

    :param path: The file to write; or a directory, in which a name that is taken gets
        random digits at its end.
    :raises FileExistsError: if there is such a file.
    """
    if not path.is_dir():
        return _copy(stream, path)
    stem, suffix = os.path.splitext(filename)  # noqa: PTH122
    while True:
        try:
            return _copy(stream, path / filename)
        except FileExistsError:
            filename = f"{stem}-{secrets.token_hex(4)}{suffix}"


def _copy(stream: t.IO[bytes], path: Path) -> Path:
    with path.open("xb") as file:
        try:
            shutil.copyfileobj(stream, file)
        except BaseException:
            # Half a file looks like a whole file.
            file.close()
            path.unlink()
            raise
    return path

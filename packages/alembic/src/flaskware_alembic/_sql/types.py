"""The types of columns, as their names and sizes."""

from __future__ import annotations

import re

TEXTS = {"varchar", "text", "character varying"}


def parts_of(text: str) -> tuple[str, tuple[int, ...]]:
    """The name of a type, and the sizes in its brackets."""
    match = re.match(r"([a-z ]+?)\s*(?:\(([\d, ]+)\))?$", text)
    if match is None:
        return text, ()
    return match[1], tuple(int(n) for n in (match[2] or "").split(",") if n.strip())

"""Places that may break a rule of :mod:`.rooms` for now, listed by package.

The list only gets shorter: an entry that is no longer needed fails ``nox -s layout``,
and ``nox -s layout -- --fix`` drops it.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from . import rooms
from .matrix import packages
from .matrix import ROOT
from .modules import read

FILE = Path("tools/layout/allowed.toml")
# Any import may point up until the package states its order and keeps it.
ANY_ORDER = "order: *"
_HEAD = """\
# Places that may break a rule of flaskware_tools.rooms for now. Add nothing here;
# `nox -s layout -- --fix` drops entries that are no longer needed.
"""
# Marks that git leaves where two branches dropped entries side by side.
_CONFLICT = re.compile(r"^(?:<{7}|\|{7}|={7}|>{7}).*\n", re.MULTILINE)


def entries(root: Path = ROOT) -> dict[str, list[str]]:
    """Return what is allowed, by package."""
    path = root / FILE
    text = path.read_text("utf-8") if path.exists() else ""
    return tomllib.loads(_CONFLICT.sub("", text))


def is_allowed(breach: rooms.Breach, listed: list[str]) -> bool:
    return breach.key in listed or (breach.rule == "order" and ANY_ORDER in listed)


def needed(listed: list[str], found: list[rooms.Breach]) -> list[str]:
    """Return the entries that a breach still needs."""
    keys = {breach.key for breach in found}
    if any(breach.rule == "order" for breach in found):
        keys.add(ANY_ORDER)
    return sorted(keys & set(listed))


def fix(root: Path = ROOT) -> bool:
    """Drop what is no longer needed; return if there was such an entry."""
    path = root / FILE
    if not path.exists():
        return False
    listed, family = entries(root), packages(root)
    kept = {
        name: needed(items, rooms.breaches(read(family[name].source)))
        for name, items in listed.items()
    }
    before, after = path.read_text("utf-8"), write(kept)
    path.write_text(after, "utf-8")
    return before != after


def write(listed: dict[str, list[str]]) -> str:
    """Return the text of the file: an entry a line, so that branches rarely clash."""
    parts = [_HEAD]
    for name, items in listed.items():
        lines = "".join(f'    "{item}",\n' for item in items)
        parts.append(f"{name} = [\n{lines}]\n")
    return "\n".join(parts)

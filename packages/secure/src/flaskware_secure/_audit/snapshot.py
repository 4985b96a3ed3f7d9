"""Snapshot of the headers of an app's routes, as a file to compare with."""

from __future__ import annotations

import collections.abc as cabc
import difflib
import json
import re
import typing as t
from pathlib import Path

from flaskware_secure._policy.vocabulary import NONCE
from flaskware_secure._policy.vocabulary import NONCE_SOURCE

from .audit import EndpointAudit

# The headers of a snapshot: the same in each response, and about security.
_WATCHED = re.compile(
    r"content-security-policy(-report-only)?|referrer-policy|vary"
    r"|permissions-policy(-report-only)?"
    r"|cross-origin-.*|document-isolation-policy|integrity-policy(-report-only)?"
    r"|reporting-endpoints|strict-transport-security|access-control-.*|x-.*",
    re.IGNORECASE,
)
_MAX_AGE = re.compile(r"max-age=(\d+)")


class SnapshotDiffers(AssertionError):
    """The headers of an app differ from its snapshot."""


def snapshot_of(audits: cabc.Iterable[EndpointAudit]) -> str:
    """Return the security headers and grade of each route, in a stable order."""
    routes: dict[str, t.Any] = {}
    for audit in audits:
        routes[f"{audit.rule} {audit.endpoint}"] = {
            "grade": audit.grade.letter,
            "headers": [
                f"{name}: {NONCE_SOURCE.sub(NONCE, value)}"
                for name, value in audit.headers
                if _WATCHED.fullmatch(name)
            ],
        }
    return json.dumps(routes, indent=2, sort_keys=True) + "\n"


def compare_snapshot(path: Path, current: str, *, write: str) -> None:
    """Compare the snapshot of an app with the file of an earlier state.

    :param write: The instruction that accepts the change.
    :raises SnapshotDiffers: with the differing lines, if there are any.
    """
    if not path.exists():
        raise SnapshotDiffers(f"There is no snapshot {path}; {write}.")
    before = path.read_text(encoding="utf-8")
    if before == current:
        return
    lines = difflib.unified_diff(
        before.splitlines(), current.splitlines(), str(path), "now", lineterm="", n=2
    )
    problem = "\n".join(lines)
    was, now = _longest_hsts(before), _longest_hsts(current)
    if now < was:
        problem += (
            f"\nhsts.lowered: browsers that visited keep to https for {was} seconds,"
            f" not {now}."
        )
    raise SnapshotDiffers(f"{problem}\nIf this is intended, {write}.")


def _longest_hsts(text: str) -> int:
    return max((int(found) for found in _MAX_AGE.findall(text)), default=0)

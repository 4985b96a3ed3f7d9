"""Findings that were there when the linter came to a history, kept in a file.

The file is made to be committed: later runs report only what is not in it.
"""

from __future__ import annotations

import collections
import collections.abc as cabc
import json
import typing as t
from pathlib import Path

from flaskware_alembic._errors import MigrationError
from flaskware_alembic._results import Finding

NAME = "lint-baseline.json"
_VERSION = 1
# A revision with a value to fill in fails, so it is never an old finding.
_NEVER = {"to-fill-in"}

# A line of the file changes its number; a revision, a rule and a change do not.
_Key: t.TypeAlias = tuple[str, str, str]


def read_baseline(folder: Path) -> collections.Counter[_Key]:
    """Return how often each finding is in the baseline of a folder.

    :raises MigrationError: if :func:`write_baseline` did not write the file.
    """
    path = folder / NAME
    if not path.is_file():
        return collections.Counter()
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        by_revision: dict[str, dict[str, list[str]]] = content["revisions"]
        return collections.Counter(
            (revision, rule, change)
            for revision, rules in by_revision.items()
            for rule, changes in rules.items()
            for change in changes
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MigrationError(
            f"{path} is no baseline that can be read ({error}). Write it again: flask"
            " db lint --baseline"
        ) from error


def write_baseline(folder: Path, findings: cabc.Iterable[Finding]) -> Path | None:
    """Write the findings of a folder that are not waived, or delete the file if none.

    :returns: The file; ``None`` if there is nothing to write.
    """
    by_revision: dict[str, dict[str, list[str]]] = {}
    for finding in findings:
        if finding.waiver is None and finding.rule not in _NEVER:
            rules = by_revision.setdefault(finding.revision.id, {})
            rules.setdefault(finding.rule, []).append(finding.what)
    path = folder / NAME
    if not by_revision:
        path.unlink(missing_ok=True)
        return None
    content = {"version": _VERSION, "revisions": by_revision}
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_text(f"{text}\n", "utf-8")
    return path


def not_in(
    known: cabc.Mapping[_Key, int], findings: cabc.Iterable[Finding]
) -> list[Finding]:
    """Return the findings that a baseline does not have, each as often as is new."""
    left = collections.Counter(known)
    new: list[Finding] = []
    for finding in findings:
        key = (finding.revision.id, finding.rule, finding.what)
        if finding.waiver is None and left[key] > 0:
            left[key] -= 1
        else:
            new.append(finding)
    return new

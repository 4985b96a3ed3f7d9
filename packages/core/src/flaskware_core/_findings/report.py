"""The report of an examination."""

from __future__ import annotations

import dataclasses as dc
import typing as t

from .finding import Finding
from .finding import Level


@dc.dataclass(frozen=True)
class Report:
    """Result of an examination of an app.

    :param findings: The worst first.
    :param silenced: Ids that were found and are silenced in the configuration.
    :param unknown_silenced: Silenced ids that nothing reported: perhaps misspelled.
    """

    app: str
    extensions: tuple[str, ...]
    findings: tuple[Finding, ...]
    silenced: tuple[str, ...]
    unknown_silenced: tuple[str, ...]

    def worst(self) -> Level | None:
        """Return the highest level among the findings."""
        return max((finding.level for finding in self.findings), default=None)

    def as_dict(self) -> dict[str, t.Any]:
        """Return the report as JSON types."""
        return {
            **dc.asdict(self),
            "findings": [finding.as_dict() for finding in self.findings],
        }

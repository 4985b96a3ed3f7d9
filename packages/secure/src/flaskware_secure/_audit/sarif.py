"""An audit in the format of code scanners (OASIS SARIF 2.1.0)."""

from __future__ import annotations

import collections.abc as cabc
import json
import typing as t

from .audit import EndpointAudit

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
# As much as MDN's observatory takes for no CSP, or cookies that anybody reads.
_GRAVE = -20


def to_sarif(audits: cabc.Iterable[EndpointAudit]) -> str:
    """The findings that cost points, each at the view that it is about."""
    rules: dict[str, dict[str, t.Any]] = {}
    results: list[dict[str, t.Any]] = []
    for audit in audits:
        for finding in audit.grade.findings:
            if finding.points >= 0:
                continue
            rules.setdefault(
                finding.code,
                {
                    "id": finding.code,
                    "shortDescription": {"text": finding.message},
                    "help": {"text": finding.fix},
                },
            )
            results.append(
                {
                    "ruleId": finding.code,
                    "level": "error" if finding.points <= _GRAVE else "warning",
                    "message": {"text": f"{audit.rule}: {finding.message}"},
                    "locations": [_location(audit)],
                }
            )
    driver = {"name": "flask secure audit", "rules": list(rules.values())}
    run = {"tool": {"driver": driver}, "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _location(audit: EndpointAudit) -> dict[str, t.Any]:
    physical: dict[str, t.Any] = {"artifactLocation": {"uri": audit.file or audit.rule}}
    if audit.line:
        physical["region"] = {"startLine": audit.line}
    logical = {"fullyQualifiedName": audit.endpoint, "kind": "function"}
    return {"physicalLocation": physical, "logicalLocations": [logical]}

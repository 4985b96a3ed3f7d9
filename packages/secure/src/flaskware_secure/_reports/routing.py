"""Where a policy says that reports go."""

from __future__ import annotations

import collections.abc as cabc
import dataclasses as dc
import types

from flaskware_secure._policy.policy import Csp
from flaskware_secure._policy.policy import Policy

# Reports of what names no endpoint, such as deprecations, go to this name (W3C
# Reporting API, section 3.3).
ENDPOINT = "default"


def with_reporting(policy: Policy, url: str) -> Policy:
    """The policy with reports sent to a URL, except where it says otherwise itself.

    ``report-uri`` stands beside ``report-to`` for browsers that know only the first;
    the others ignore it (CSP3, section 6.5.1).
    """
    endpoints = {ENDPOINT: url, **policy.reporting_endpoints}
    own = endpoints[ENDPOINT]
    return dc.replace(
        policy,
        csp=_told(policy.csp, own),
        csp_report_only=_told(policy.csp_report_only, own),
        also=tuple(
            Csp(_told(each.directives, own), report_only=each.report_only)
            for each in policy.also
        ),
        reporting_endpoints=types.MappingProxyType(endpoints),
    )


def _told(
    directives: cabc.Mapping[str, tuple[str, ...]], url: str
) -> cabc.Mapping[str, tuple[str, ...]]:
    if not directives or "report-to" in directives or "report-uri" in directives:
        return directives
    return types.MappingProxyType(
        {**directives, "report-to": (ENDPOINT,), "report-uri": (url,)}
    )

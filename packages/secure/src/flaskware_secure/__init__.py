"""Response headers and request isolation for Flask."""

from __future__ import annotations

from ._audit import EndpointAudit as EndpointAudit
from ._clearing import clear_site_data as clear_site_data
from ._extension import SecureHeaders as SecureHeaders
from ._grading import Grade as Grade
from ._grading import GradeFinding as GradeFinding
from ._lint import PolicyProblem as PolicyProblem
from ._nonce import NonceError as NonceError
from ._policy import Append as Append
from ._policy import append as append
from ._policy import Changes as Changes
from ._policy import Policy as Policy
from ._settings import SecureSettings as SecureSettings
from ._vocabulary import Directive as Directive
from ._vocabulary import Feature as Feature

__all__ = [
    "Append",
    "append",
    "Changes",
    "clear_site_data",
    "Directive",
    "EndpointAudit",
    "Feature",
    "Grade",
    "GradeFinding",
    "NonceError",
    "Policy",
    "PolicyProblem",
    "SecureHeaders",
    "SecureSettings",
]

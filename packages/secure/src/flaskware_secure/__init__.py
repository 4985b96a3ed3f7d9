"""Response headers and request isolation for Flask."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._clearing import clear_site_data as clear_site_data
from ._cors import Cors as Cors
from ._extension import SecureHeaders as SecureHeaders
from ._integrity import IntegrityError as IntegrityError
from ._lint import PolicyProblem as PolicyProblem
from ._nonce import NonceError as NonceError
from ._policy import Append as Append
from ._policy import append as append
from ._policy import Changes as Changes
from ._policy import Csp as Csp
from ._policy import Policy as Policy
from ._report_store import LogReports as LogReports
from ._report_store import MemoryReports as MemoryReports
from ._report_store import ReportGroup as ReportGroup
from ._report_store import ReportStore as ReportStore
from ._report_store import ReportStoreError as ReportStoreError
from ._report_store import table_reports as table_reports
from ._settings import SecureSettings as SecureSettings
from ._vocabulary import Directive as Directive
from ._vocabulary import Feature as Feature

if t.TYPE_CHECKING:
    from ._audit import EndpointAudit as EndpointAudit
    from ._collector import report_collected as report_collected
    from ._collector import report_dropped as report_dropped
    from ._grading import Grade as Grade
    from ._grading_content import GradeFinding as GradeFinding
    from ._report import Report as Report
    from ._suggest import Suggestion as Suggestion
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_audit": ["EndpointAudit"],
            "_collector": ["report_collected", "report_dropped"],
            "_grading": ["Grade"],
            "_grading_content": ["GradeFinding"],
            "_report": ["Report"],
            "_suggest": ["Suggestion"],
        },
    )

__all__ = [
    "Append",
    "append",
    "Changes",
    "clear_site_data",
    "Cors",
    "Csp",
    "Directive",
    "EndpointAudit",
    "Feature",
    "Grade",
    "GradeFinding",
    "IntegrityError",
    "LogReports",
    "MemoryReports",
    "NonceError",
    "Policy",
    "PolicyProblem",
    "Report",
    "report_collected",
    "report_dropped",
    "ReportGroup",
    "ReportStore",
    "ReportStoreError",
    "SecureHeaders",
    "SecureSettings",
    "Suggestion",
    "table_reports",
]

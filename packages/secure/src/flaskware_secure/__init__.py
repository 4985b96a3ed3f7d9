"""Response headers and request isolation for Flask."""

from __future__ import annotations

import typing as t

from flaskware_core import lazy_names

from ._extension import SecureHeaders as SecureHeaders
from ._headers.clear_site_data import clear_site_data as clear_site_data
from ._headers.nonce import NonceError as NonceError
from ._policy.cors import Cors as Cors
from ._policy.lint import PolicyProblem as PolicyProblem
from ._policy.policy import Append as Append
from ._policy.policy import append as append
from ._policy.policy import Changes as Changes
from ._policy.policy import Csp as Csp
from ._policy.policy import Policy as Policy
from ._policy.vocabulary import Directive as Directive
from ._policy.vocabulary import Feature as Feature
from ._reports.open import table_reports as table_reports
from ._reports.store import Batch as Batch
from ._reports.store import Ledger as Ledger
from ._reports.store import LogReports as LogReports
from ._reports.store import MemoryReports as MemoryReports
from ._reports.store import ReportGroup as ReportGroup
from ._reports.store import ReportStore as ReportStore
from ._reports.store import ReportStoreError as ReportStoreError
from ._settings import SecureSettings as SecureSettings
from ._static.integrity import IntegrityError as IntegrityError

if t.TYPE_CHECKING:
    from ._audit.audit import EndpointAudit as EndpointAudit
    from ._audit.grading import Grade as Grade
    from ._audit.grading import GradeFinding as GradeFinding
    from ._reports.collector import report_collected as report_collected
    from ._reports.collector import report_dropped as report_dropped
    from ._reports.report import Report as Report
    from ._reports.suggest import Suggestion as Suggestion
    from ._reports.suggest import Trial as Trial
    from ._reports.suggest import Withheld as Withheld
else:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "_audit.audit": ["EndpointAudit"],
            "_audit.grading": ["Grade", "GradeFinding"],
            "_reports.collector": ["report_collected", "report_dropped"],
            "_reports.report": ["Report"],
            "_reports.suggest": ["Suggestion", "Trial", "Withheld"],
        },
    )

__all__ = [
    "Append", "append", "Batch", "Changes", "clear_site_data", "Cors", "Csp",
    "Directive", "EndpointAudit", "Feature", "Grade", "GradeFinding", "IntegrityError",
    "Ledger", "LogReports", "MemoryReports", "NonceError", "Policy", "PolicyProblem",
    "Report", "report_collected", "report_dropped", "ReportGroup", "ReportStore",
    "ReportStoreError", "SecureHeaders", "SecureSettings", "Suggestion",
    "table_reports", "Trial", "Withheld",
]  # fmt: skip

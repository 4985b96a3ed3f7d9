"""Importing, in a fresh process.

Each is what it adds where Flask, the core and what it wraps are imported already; CPU
time, with bytecode that was written before.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile

from flaskware_tools.bench import Case

BASELINE = "Flask"

_ALEMBIC = "sqlalchemy.orm, alembic.command, alembic.autogenerate"
_WRAPPED = {
    "core": "pydantic.main",
    "sqlalchemy": "sqlalchemy.orm, flaskware_core",
    "alembic": f"{_ALEMBIC}, flaskware_core",
    "forms": "flask_wtf, wtforms, flaskware_core",
    "secure": "secure, flaskware_core",
    "session": "flaskware_core",
}
_TIMED = """\
import {before}
from time import process_time
start = process_time()
import {module}
print(process_time() - start)
"""


def timed(case: Case, count: int) -> float:
    """The least of three processes, each of which says how long its import took."""
    del count
    return min(float(str(case())) for _ in range(3))


def cases() -> dict[str, Case]:
    """One import each."""
    bytecode = tempfile.mkdtemp()
    found: dict[str, Case] = {
        BASELINE: functools.partial(_import, "flask", "click", bytecode)
    }
    for name, wrapped in _WRAPPED.items():
        before = f"flask, {wrapped}"
        found[f"flaskware: {name}"] = functools.partial(
            _import, f"flaskware_{name}", before, bytecode
        )
    return found


def _import(module: str, before: str, bytecode: str) -> str:
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, "-c", _TIMED.format(before=before, module=module)],
        env=environment, stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip

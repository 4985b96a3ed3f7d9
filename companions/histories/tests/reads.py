"""Run every command that reads over a history, and print the results as JSON.

Each history has a process of its own: what its revisions import of its app stays there.
"""

from __future__ import annotations

import json
import sys
import tempfile
import traceback
from pathlib import Path

import flask
import sqlalchemy as sa

from flaskware_alembic import Alembic
from flaskware_alembic import MigrationError

COMMANDS = (
    "history", "history --json", "heads", "current", "current --json", "plan",
    "plan --json", "sql", "lint", "lint --format json", "lint --format sarif",
    "lint --format github", "lint --hints", "check", "check --json", "check --serving",
    "doctor", "backfill status",
)  # fmt: skip


def main(url: str, root: str, folder: str) -> None:
    """Print by command its result, and by revision why its SQL is not written."""
    sys.path.insert(0, root)
    app = flask.Flask(__name__, root_path=tempfile.mkdtemp())
    engine = sa.create_engine(url)
    alembic = Alembic(
        app=app, engine=engine, metadata=sa.MetaData(), directory=str(Path(folder))
    )
    results: dict[str, dict[str, object]] = {}
    for command in COMMANDS:
        result = app.test_cli_runner().invoke(args=["db", *command.split()])
        error = result.exception
        has_raised = error is not None and not isinstance(error, SystemExit)
        results[command] = {
            "code": result.exit_code,
            "stdout": result.stdout,
            "stderr": result.stderr,
            "traceback": "".join(traceback.format_exception(error)) * has_raised,
        }
    reasons: dict[str, str | None] = {}
    with app.app_context():
        try:
            plan = alembic.plan()
        except MigrationError:
            # Each command has said why.
            pass
        else:
            reasons = {step.revision.id: step.reason for step in plan}
    engine.dispose()
    print(json.dumps({"results": results, "reasons": reasons}))


if __name__ == "__main__":
    main(*sys.argv[1:])

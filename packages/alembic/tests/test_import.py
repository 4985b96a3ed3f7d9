from __future__ import annotations

import subprocess
import sys


def test_an_app_that_only_starts_loads_no_alembic() -> None:
    code = """
import sys, flask, sqlalchemy as sa
from flaskware_alembic import Alembic
app = flask.Flask("app")
app.secret_key = "k3y-0f-a-test:0123456789abcdef-XYZ"
Alembic(app=app, metadata=sa.MetaData(), engine=sa.create_engine("sqlite://"))
with app.test_client() as client:
    client.get("/")
print(*sorted(name for name in sys.modules if name.split(".")[0] == "alembic"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")

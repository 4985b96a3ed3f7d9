from __future__ import annotations

import os

import pytest
import sqlalchemy as sa

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_opens_connections_of_its_own(pg_site):
    pid_of_server = sa.text("select pg_backend_pid()")
    with pg_site.db.session_scope(pg_site.app) as session:
        parent = session.scalar(pid_of_server)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with pg_site.db.session_scope(pg_site.app) as session:
                os.write(writing, str(session.scalar(pid_of_server)).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    of_child = int(os.read(reading, 100))
    os.close(reading)
    os.close(writing)
    assert of_child != parent
    with pg_site.db.session_scope(pg_site.app) as session:
        assert session.scalar(pid_of_server) == parent

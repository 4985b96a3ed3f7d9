"""Huey: tasks in a consumer with processes, on Redis."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_each_job_of_a_worker_is_done_once_or_not_at_all(queue, kind):
    jobs = queue.jobs
    consumer = ("huey_consumer", "jobs_huey.queue", "-w", "2", "-k", kind, "-q")
    with jobs.worker(*consumer):
        jobs.work_through(queue.add_user, queue.sign_out)

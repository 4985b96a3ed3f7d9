"""Dramatiq: actors in worker processes with threads, on Redis."""

from __future__ import annotations


def test_each_job_of_a_worker_is_done_once_or_not_at_all(queue):
    jobs = queue.jobs
    with jobs.worker("dramatiq", "jobs_dramatiq", "--processes", "2", "--threads", "2"):
        jobs.work_through(queue.add_user.send, queue.sign_out.send)

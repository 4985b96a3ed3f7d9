"""APScheduler: jobs in Redis, run by the threads of a scheduler of its own."""

from __future__ import annotations


def test_each_job_of_a_scheduler_is_done_once_or_not_at_all(queue):
    jobs = queue.jobs
    sender = queue.sender()
    with jobs.script("jobs_apscheduler.py"):
        jobs.work_through(
            lambda name: sender.add_job(jobs.add_user, args=[name]),
            lambda user: sender.add_job(jobs.sign_out, args=[user]),
        )
    sender.shutdown()

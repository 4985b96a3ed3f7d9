"""A scheduler of APScheduler; run as a script, it works until it is stopped."""

from __future__ import annotations

from urllib.parse import urlsplit

import jobs
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler


def scheduler(kind):
    """Make a scheduler with its jobs in Redis."""
    parts = urlsplit(jobs.REDIS)
    store = RedisJobStore(
        host=parts.hostname, port=parts.port, db=int(parts.path.strip("/") or 0)
    )
    stores = {"default": store, "own": MemoryJobStore()}
    return kind(jobstores=stores, job_defaults={"misfire_grace_time": None})


def sender():
    """Make a scheduler that runs nothing itself."""
    found = scheduler(BackgroundScheduler)
    found.start(paused=True)
    return found


def look() -> None:
    """Do nothing: a scheduler looks for new jobs of others when one of its is due."""


if __name__ == "__main__":
    worker = scheduler(BlockingScheduler)
    worker.add_job(look, "interval", seconds=0.2, jobstore="own")
    worker.start()

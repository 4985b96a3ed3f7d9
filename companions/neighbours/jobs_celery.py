from __future__ import annotations

import celery
import jobs

queue = celery.Celery("jobs", broker=jobs.REDIS, backend=jobs.REDIS)
queue.conf.broker_connection_retry_on_startup = True
add_user = queue.task(jobs.add_user, name="add_user")
sign_out = queue.task(jobs.sign_out, name="sign_out")

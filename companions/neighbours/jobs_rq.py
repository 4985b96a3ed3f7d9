from __future__ import annotations

import jobs
import redis
import rq

queue = rq.Queue(connection=redis.Redis.from_url(jobs.REDIS))

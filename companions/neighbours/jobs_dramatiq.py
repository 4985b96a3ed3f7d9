from __future__ import annotations

import dramatiq
import jobs
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker(url=jobs.REDIS))
add_user = dramatiq.actor(jobs.add_user, max_retries=0)
sign_out = dramatiq.actor(jobs.sign_out)

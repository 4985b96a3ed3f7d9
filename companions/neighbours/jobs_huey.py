from __future__ import annotations

import huey
import jobs

queue = huey.RedisHuey("jobs", url=jobs.REDIS)
add_user = queue.task()(jobs.add_user)
sign_out = queue.task()(jobs.sign_out)

"""RQ: jobs in a worker on Redis that forks for each job."""

from __future__ import annotations


def test_each_job_of_a_worker_is_done_once_or_not_at_all(queue):
    jobs = queue.jobs
    with jobs.worker("rq", "worker", "--url", jobs.REDIS, "--quiet"):
        jobs.work_through(
            lambda name: queue.queue.enqueue(jobs.add_user, name),
            lambda user: queue.queue.enqueue(jobs.sign_out, user),
            count=6,  # each job is a process that makes the app
        )


def test_a_job_in_the_request_has_a_session_of_its_own(queue):
    jobs = queue.jobs
    eager = queue.rq.Queue(is_async=False, connection=queue.queue.connection)

    @jobs.app.post("/eager")
    def enqueue():
        jobs.db.session.add(user := jobs.family.User(name="not committed"))
        eager.enqueue(jobs.add_user, "Ann")
        assert user in jobs.db.session
        return {}

    answer = jobs.app.test_client().post("/eager", headers=jobs.SAME_ORIGIN)
    assert answer.status_code == 200
    assert jobs.names() == ["Ann"]

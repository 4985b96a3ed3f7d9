"""Celery: prefork workers on Redis, and eager tasks inside of a request."""

from __future__ import annotations


def test_each_task_of_a_prefork_worker_is_done_once_or_not_at_all(queue):
    jobs = queue.jobs
    options = ("--concurrency=2", "--loglevel=error", "--without-mingle")
    with jobs.worker("celery", "-A", "jobs_celery:queue", "worker", *options):
        jobs.work_through(queue.add_user.delay, queue.sign_out.delay)


def test_an_eager_task_has_a_session_of_its_own(queue):
    jobs = queue.jobs
    queue.queue.conf.task_always_eager = True

    @jobs.app.post("/eager")
    def delay():
        jobs.db.session.add(user := jobs.family.User(name="not committed"))
        queue.add_user.delay("Ann")
        assert user in jobs.db.session
        assert queue.add_user.delay("bad").failed()
        assert user in jobs.db.session
        return {}

    answer = jobs.app.test_client().post("/eager", headers=jobs.SAME_ORIGIN)
    assert answer.status_code == 200
    assert jobs.names() == ["Ann"]


def test_an_eager_task_in_a_transaction_is_an_error_that_says_to_wait(queue):
    jobs = queue.jobs
    queue.queue.conf.task_always_eager = True
    with jobs.app.app_context():
        with jobs.db.transaction() as session:
            session.add(jobs.family.User(name="Ann"))
            session.flush()
            result = queue.add_user.delay("Bob")
            jobs.db.on_commit(lambda: queue.add_user.delay("Eve"))
        assert "on_commit" in str(result.result)
    assert jobs.names() == ["Ann", "Eve"]

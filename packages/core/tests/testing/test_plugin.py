from __future__ import annotations

import pytest

CONFTEST = """
import flask, pytest
from flaskware_core.testing import make_app
from tests_mail import Mail

mail = Mail()

@pytest.fixture(scope="session")
def app():
    app = make_app(mail, MAIL_URL="smtp://x")
    return app
"""


@pytest.fixture
def project(pytester, mail_class):
    import inspect
    import sys

    source = inspect.getsource(sys.modules[mail_class.__module__])
    source = source.replace('pytest_plugins = ["pytester"]', "")
    pytester.makepyfile(tests_mail=source)
    pytester.makeconftest(CONFTEST)
    return pytester


TWO_TESTS = """
    from conftest import mail

    def test_one(app):
        app.test_client().get("/")
        assert len(mail.state_of(app).sent) == 1

    def test_two(app):
        app.test_client().get("/")
        assert len(mail.state_of(app).sent) == 1
"""


def test_isolation_is_one_line_of_configuration(project):
    project.makeini("[pytest]\nflaskware_isolation = true\n")
    project.makepyfile(TWO_TESTS)
    project.runpytest_subprocess().assert_outcomes(passed=2)


def test_without_that_line_nothing_is_undone(project):
    project.makepyfile(TWO_TESTS)
    project.runpytest_subprocess().assert_outcomes(passed=1, failed=1)


def test_a_test_that_leaves_an_app_context_is_told(project):
    project.makeini("[pytest]\nflaskware_isolation = true\n")
    project.makepyfile(
        """
        def test_one(app):
            app.app_context().push()
        """
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*pushed an app context and did not pop it*"])


def test_tests_without_an_app_are_left_alone(project):
    project.makeini("[pytest]\nflaskware_isolation = true\n")
    project.makepyfile("def test_one():\n    pass\n")
    project.runpytest_subprocess().assert_outcomes(passed=1)


def test_the_summary_says_which_services_were_used(project, redis_url):
    project.makepyfile("def test_one(redis_url):\n    pass\n")
    result = project.runpytest_subprocess()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["services used: redis *(*)"])

from __future__ import annotations

import pytest

from flaskware_tools import structure
from flaskware_tools.matrix import Package
from flaskware_tools.matrix import packages

FAMILY = list(packages().values())


@pytest.fixture(params=FAMILY, ids=lambda item: item.name)
def package(request: pytest.FixtureRequest) -> Package:
    """Each package in turn."""
    found: Package = request.param
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("the inside of each package")
    terminalreporter.write_line(structure.table())

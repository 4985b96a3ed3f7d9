"""Fixtures and helpers for the tests of apps that use Flaskware.

Installing ``flaskware-core`` makes this a pytest plugin, so it needs no import.
"""

from __future__ import annotations

from .apps import async_app_context as async_app_context
from .apps import blueprint_for as blueprint_for
from .apps import isolation as isolation
from .apps import make_app as make_app
from .apps import rendered as rendered
from .apps import serving as serving
from .browser import chromium as chromium
from .browser import set_screen as set_screen
from .browser import without_scripts as without_scripts
from .plugin import _flaskware_event_loops as _flaskware_event_loops
from .plugin import _flaskware_isolation as _flaskware_isolation
from .plugin import mariadb_url as mariadb_url
from .plugin import memcached_url as memcached_url
from .plugin import postgresql_url as postgresql_url
from .plugin import pytest_addoption as pytest_addoption
from .plugin import pytest_configure as pytest_configure
from .plugin import pytest_runtest_call as pytest_runtest_call
from .plugin import pytest_runtest_setup as pytest_runtest_setup
from .plugin import pytest_sessionfinish as pytest_sessionfinish
from .plugin import pytest_terminal_summary as pytest_terminal_summary
from .plugin import pytest_testnodedown as pytest_testnodedown
from .plugin import pytest_unconfigure as pytest_unconfigure
from .plugin import redis_url as redis_url
from .services import free_port as free_port
from .services import node_modules as node_modules
from .services import Service as Service
from .services import Services as Services
from .services import ServiceUnavailable as ServiceUnavailable
from .services import temporary_database as temporary_database
from .services import temporary_pgbouncer as temporary_pgbouncer
from .services import temporary_redis as temporary_redis

__all__ = [
    "async_app_context", "blueprint_for", "chromium", "free_port", "isolation",
    "make_app", "mariadb_url", "memcached_url", "node_modules", "postgresql_url",
    "redis_url", "rendered", "Service", "Services", "ServiceUnavailable", "serving",
    "set_screen", "temporary_database", "temporary_pgbouncer", "temporary_redis",
    "without_scripts",
]  # fmt: skip

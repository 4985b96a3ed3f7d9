"""Assertions about security headers, for the tests of apps that send them.

Installing ``flaskware-secure`` makes this a pytest plugin with one fixture.
"""

from __future__ import annotations

import collections.abc as cabc
import html.parser
import typing as t
from pathlib import Path

import pytest
from flask.sansio.app import App
from werkzeug.wrappers import Response

from ._audit.snapshot import compare_snapshot
from ._audit.snapshot import snapshot_of
from ._audit.snapshot import SnapshotDiffers
from ._extension import SecureHeaders
from ._headers.compiled import CSP
from ._headers.compiled import CSP_REPORT_ONLY
from ._policy.parsing import parse_csp
from ._policy.parsing import parse_permissions
from ._policy.vocabulary import NONCE
from ._policy.vocabulary import NONCE_SOURCE

__all__ = [
    "assert_csp", "assert_nonces", "assert_snapshot", "csp_of", "nonce_of", "parse_csp",
    "parse_permissions", "secure_snapshot", "SnapshotDiffers",
]  # fmt: skip


def csp_of(
    response: Response, *, report_only: bool = False
) -> dict[str, tuple[str, ...]]:
    """Return the directives of a response's CSP, with its nonce as ``'nonce'``.

    :raises AssertionError: if the response has no CSP, or several.
    """
    name = CSP_REPORT_ONLY if report_only else CSP
    values = response.headers.getlist(name)
    if len(values) != 1:
        raise AssertionError(f"The response has {len(values)} lines of {name}, not 1.")
    return {
        directive: tuple(NONCE_SOURCE.sub(NONCE, source) for source in sources)
        for directive, sources in parse_csp(values[0]).items()
    }


def assert_csp(
    response: Response,
    *,
    report_only: bool = False,
    **directives: cabc.Collection[str] | None,
) -> None:
    """Assert that a response's CSP has these sources in the given directives.

    ``assert_csp(response, script_src=["'nonce'", "'strict-dynamic'"])``. The order of
    sources does not matter, ``None`` asserts that the directive is not there, and
    other directives are ignored.
    """
    __tracebackhide__ = True
    csp = csp_of(response, report_only=report_only)
    wrong: list[str] = []
    for name, expected in directives.items():
        directive = name.replace("_", "-")
        found = csp.get(directive)
        if (found is None) != (expected is None) or set(found or ()) != set(
            expected or ()
        ):
            wrong.append(f"{directive}: expected {expected}, the response has {found}")
    if wrong:
        raise AssertionError("\n".join(wrong))


def nonce_of(response: Response) -> str | None:
    """Return the nonce in a response's CSP, or ``None``."""
    for value in response.headers.getlist(CSP):
        if (match := NONCE_SOURCE.search(value)) is not None:
            return match[1]
    return None


def assert_nonces(response: Response) -> None:
    """Assert that every script of a page, and inline style, has the response's nonce.

    The test then fails where a browser would block silently: on a script without the
    nonce, and on ``onclick`` or ``style`` attributes, which no nonce allows.
    """
    __tracebackhide__ = True
    finder = _Finder(nonce_of(response))
    finder.feed(response.get_data(as_text=True))
    if finder.wrong:
        raise AssertionError("\n".join(finder.wrong))


def assert_snapshot(app: App, path: Path, *, update: bool = False) -> None:
    """Assert that every route of an app still has its security headers.

    ``flask secure audit --snapshot`` compares with the same file.

    :param update: True to write the file instead.
    :raises SnapshotDiffers: with the differing lines.
    """
    __tracebackhide__ = True
    secure: SecureHeaders = app.extensions["secure"]
    current = snapshot_of(secure.audit(app))
    if update:
        path.write_text(current, encoding="utf-8")
        return
    compare_snapshot(path, current, write="run pytest with --update-secure-snapshot")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("flaskware").addoption(
        "--update-secure-snapshot",
        action="store_true",
        help="Write the snapshots of security headers instead of comparing.",
    )


@pytest.fixture
def secure_snapshot(request: pytest.FixtureRequest) -> cabc.Callable[[App], None]:
    """Compare the headers of an app's routes with ``secure_snapshot.json``.

    The file is beside the test; ``--update-secure-snapshot`` writes it.
    """
    update = bool(request.config.getoption("--update-secure-snapshot"))

    def compare(app: App) -> None:
        __tracebackhide__ = True
        path = request.path.with_name("secure_snapshot.json")
        assert_snapshot(app, path, update=update)

    return compare


class _Finder(html.parser.HTMLParser):
    def __init__(self, nonce: str | None) -> None:
        super().__init__()
        self.nonce = nonce
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        line = self.getpos()[0]
        if tag in {"script", "style"} and not _is_data(tag, given):
            nonce = given.get("nonce")
            if nonce is None:
                self.wrong.append(
                    f"line {line}: <{tag}> without a nonce; write"
                    f' <{tag} nonce="{{{{ csp_nonce() }}}}">'
                )
            elif nonce != self.nonce:
                self.wrong.append(
                    f"line {line}: <{tag}> with another nonce than the header's; write"
                    ' nonce="{{ csp_nonce() }}", and do not cache the markup'
                )
        self.wrong.extend(
            f"line {line}: <{tag} {name}=…>, which no nonce allows; write {instead}"
            for name in given
            if (instead := _instead_of(name)) is not None
        )


def _instead_of(attribute: str) -> str | None:
    if attribute.startswith("on"):
        return "addEventListener in a script that has the nonce"
    return "a class, and its rule in a style sheet" if attribute == "style" else None


def _is_data(tag: str, attrs: cabc.Mapping[str, str | None]) -> bool:
    kind: t.Any = attrs.get("type")
    return tag == "script" and kind in {"application/json", "application/ld+json"}

"""What a page loads, read from its markup."""

from __future__ import annotations

import html.parser


def scripts_of(body: str) -> list[tuple[str, bool]]:
    """The scripts that a page loads, and whether each has an ``integrity``."""
    finder = _Scripts()
    finder.feed(body)
    return finder.found


class _Scripts(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        source = given.get("src")
        if tag == "script" and source:
            self.found.append((source.strip(), bool(given.get("integrity"))))

"""Parsers of header values."""

from __future__ import annotations


def parse_csp(value: str) -> dict[str, tuple[str, ...]]:
    """Return the directives of one ``Content-Security-Policy`` value.

    As browsers do: names in lower case, and the first of a repeated directive counts
    (CSP3, section 2.2.1).
    """
    directives: dict[str, tuple[str, ...]] = {}
    for part in value.split(";"):
        name, *sources = part.split() or [""]
        if name:
            directives.setdefault(name.lower(), tuple(sources))
    return directives


def repeated_directives(value: str) -> list[str]:
    """Return the directives that one policy has twice; browsers ignore the second."""
    seen: set[str] = set()
    found: list[str] = []
    for part in value.split(";"):
        name = part.split()[0].lower() if part.split() else ""
        if name in seen:
            found.append(name)
        seen.add(name)
    return [name for name in found if name]


def parse_permissions(value: str) -> dict[str, tuple[str, ...]]:
    """Return the features of one ``Permissions-Policy`` value."""
    features: dict[str, tuple[str, ...]] = {}
    for part in value.split(","):
        name, _, allowed = part.strip().partition("=")
        members = allowed.split(";")[0].strip().removeprefix("(").removesuffix(")")
        features[name] = tuple(member.strip('"') for member in members.split())
    features.pop("", None)
    return features

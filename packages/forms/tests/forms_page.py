"""Reads the markup of a form."""

from __future__ import annotations

import html.parser
import typing as t


class Page(html.parser.HTMLParser):
    """The tags of some markup, their attributes, and which were left open."""

    VOID: t.ClassVar = {"input", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: t.Any) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute twice in {tag}: {attrs}"
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def control(self, name: str) -> dict[str, t.Any]:
        return next(
            attrs
            for tag, attrs in self.tags
            if tag in {"input", "textarea", "select"}
            and attrs.get("name") == name
            # Not the one that says that a page shows a box.
            and (attrs.get("type") != "hidden" or attrs["value"])
        )

    def ids(self) -> list[str]:
        return [attrs["id"] for _, attrs in self.tags if attrs.get("id")]


def sent_by(page: Page) -> dict[str, list[str]]:
    """What a browser sends of a page's form without anybody typing."""
    raw: dict[str, list[str]] = {}
    select: str | None = None
    for tag, attrs in page.tags:
        name = t.cast("str", attrs.get("name"))
        if tag == "select":
            select = name
            raw[name] = [""]
        elif tag == "option" and "selected" in attrs:
            raw[t.cast("str", select)] = [attrs["value"] or ""]
        elif tag == "input" and (
            attrs["type"] not in {"checkbox", "radio"} or "checked" in attrs
        ):
            raw.setdefault(name, []).append(attrs.get("value") or "")
    return raw


def encode(value: t.Any, name: str = "") -> dict[str, list[str]]:
    """What a browser would send for a value."""
    if isinstance(value, dict):
        parts = [encode(v, f"{name}.{k}" if name else k) for k, v in value.items()]
    elif isinstance(value, list):
        parts = [{f"{name}.*": [""]}]
        parts += [encode(v, f"{name}-{i}") for i, v in enumerate(value)]
    elif value is False:
        return {name: [""]}
    else:
        return {name: ["" if value is None else str(value)]}
    return {k: v for part in parts for k, v in part.items()}

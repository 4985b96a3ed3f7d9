"""Reads the markup of a form."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import html.parser
import itertools
import re
import typing as t


class Page(html.parser.HTMLParser):
    """The tags of some markup, their attributes, and which were left open."""

    VOID: t.ClassVar = {"input", "br"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        # The texts of textareas, and which fieldsets around a control are disabled.
        self.areas: list[str] = []
        self.disabled: list[bool] = []
        # A browser has one kind of line end (HTML, "normalizing newlines").
        self.feed(text.replace("\r\n", "\n").replace("\r", "\n"))
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: t.Any) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs), f"an attribute twice in {tag}: {attrs}"
        if tag == "fieldset":
            self.disabled.append("disabled" in found)
        elif any(self.disabled):
            found["disabled"] = None
        if tag == "textarea":
            self.areas.append("")
        self.tags.append((tag, found))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "fieldset":
            self.disabled.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open[-1:] == ["textarea"]:
            self.areas[-1] += data

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


_MOMENTS: dict[str, t.Any] = {
    "date": dt.date, "time": dt.time, "datetime-local": dt.datetime,
}  # fmt: skip


def sanitized(kind: str, text: str) -> str:
    """What an ``<input>`` keeps of its value (HTML, "value sanitization algorithm")."""
    if kind == "hidden":
        return text
    text = re.sub("[\r\n]", "", text)
    if kind in {"email", "url"}:
        return text.strip(" \t\f")
    if kind == "number":
        valid = re.fullmatch(r"-?[0-9]*\.?[0-9]+([eE][+-]?[0-9]+)?", text)
        return text if valid else ""
    if kind in _MOMENTS:
        try:
            found = _MOMENTS[kind].fromisoformat(text)
        except ValueError:
            return ""
        zone, micro = (getattr(found, name, 0) for name in ("tzinfo", "microsecond"))
        if zone or micro % 1000:
            return ""
        # It leaves out what is zero.
        return text.removesuffix(":00") if text.count(":") > 1 else text
    return text


def pairs_of(page: Page) -> cabc.Iterator[tuple[str, str]]:
    """Yield the names and the values of a page's form before anybody typed."""
    areas = iter(page.areas)
    for index, (tag, attrs) in enumerate(page.tags):
        name, value = attrs.get("name"), attrs.get("value") or ""
        kind = attrs.get("type") or "text"
        text = next(areas) if tag == "textarea" else ""
        if not name or "disabled" in attrs:
            continue
        if tag == "textarea":
            yield name, text.removeprefix("\n")
        elif tag == "select":
            options = options_of(page.tags[index + 1 :])
            chosen = [text for text, selected in options if selected]
            if "multiple" in attrs:
                yield from ((name, text) for text in chosen)
            else:
                yield name, (chosen or [options[0][0]])[-1]
        elif tag == "input" and kind not in {"checkbox", "radio"}:
            yield name, sanitized(kind, value)
        elif tag == "input" and "checked" in attrs:
            yield name, value


def options_of(tags: list[tuple[str, dict[str, str | None]]]) -> list[tuple[str, bool]]:
    inside = itertools.takewhile(lambda tag: tag[0] in {"option", "optgroup"}, tags)
    options = (attrs for tag, attrs in inside if tag == "option")
    return [(attrs.get("value") or "", "selected" in attrs) for attrs in options]


def sent_by(page: Page) -> dict[str, list[str]]:
    """What a browser sends of a page's form without anybody typing."""
    raw: dict[str, list[str]] = {}
    for name, value in pairs_of(page):
        raw.setdefault(name, []).append(re.sub("\r\n|\r|\n", "\r\n", value))
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

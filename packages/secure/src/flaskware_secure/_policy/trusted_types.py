"""The default policy of Trusted Types: the judge of every text that a sink gets.

A script that writes ``element.innerHTML = text`` needs no change: the browser asks this
policy, which lets pass what cannot run and refuses the rest.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import re
import types
import typing as t

from .vocabulary import Complaint
from .vocabulary import Directives

TrustedTypes: t.TypeAlias = t.Literal["enforce", "report", "off"]

# The default policy needs a second policy: parsing is a sink too.
_PARSER = "flaskware-parser"
TRUSTED_TYPES: Directives = types.MappingProxyType(
    {
        "require-trusted-types-for": ("'script'",),
        "trusted-types": ("default", _PARSER),
    }
)
"""The directives that have the browser ask the default policy."""

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?")

# Elements that run nothing and are parsed alike wherever they stand. Not among them:
# what holds raw text, such as <style>, <textarea> and <noscript>, since its content may
# be read as markup in another place.
_ELEMENTS = (
    "html", "head", "body", "a", "abbr", "address", "article", "aside", "b",
    "blockquote", "br", "button", "caption", "circle", "cite", "code", "col",
    "colgroup", "datalist", "dd", "del", "details", "dfn", "div", "dl", "dt", "em",
    "fieldset", "figcaption", "figure", "footer", "form", "g", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "i", "img", "input", "ins", "kbd", "label", "legend",
    "li", "line", "main", "mark", "menu", "meter", "nav", "ol", "optgroup", "option",
    "output", "p", "path", "picture", "polygon", "polyline", "pre", "progress", "q",
    "rect", "s", "samp", "section", "select", "small", "source", "span", "strong",
    "sub", "summary", "sup", "svg", "table", "tbody", "td", "tfoot", "th", "thead",
    "time", "tr", "u", "ul", "var", "wbr",
)  # fmt: skip

# DOMPurify would clean a text and so change what a page shows without a word. Here
# nothing is changed: a text is either harmless or refused, and a refusal is reported.
# Methods are called on their prototypes: <form name="querySelector"> hides them.
_SCRIPT = """\
(() => {
const types = window.trustedTypes;
if (!types || types.defaultPolicy) return;
const raw = types.createPolicy(PARSER, {createHTML: text => text});
const call = (owner, name) => {
  const method = owner.prototype[name];
  return (...given) => Reflect.apply(method, given[0], given.slice(1));
};
const parse = call(DOMParser, "parseFromString");
const all = call(Document, "querySelectorAll");
const matches = call(Element, "matches");
const names = call(Element, "getAttributeNames");
const value = call(Element, "getAttribute");
const harmless = element => matches(element, ELEMENTS) && names(element).every(name =>
  !/^(on|srcdoc$)/i.test(name) && !/^(\\w*script:|data:(?!image\\/(?!svg)))/i.test(
    value(element, name).replace(/[\\x00-\\x20]+/g, "")));
const parser = new DOMParser();
types.createPolicy("default", {
  createHTML: text => {
    const page = parse(parser, raw.createHTML(text), "text/html");
    return [...all(page, "*")].every(harmless) ? text : null;
  },
  createScriptURL: text => {
    const {origin} = new URL(text, document.baseURI);
    return origin === location.origin || ORIGINS.includes(origin) ? text : null;
  }
});
})()"""


def default_policy(origins: cabc.Iterable[str] = ()) -> str:
    """Return the script that creates the default policy.

    Harmless markup passes, and addresses of scripts of the app's own origin. The rest
    is a violation: reported in a report-only policy, refused in an enforced policy.

    :param origins: Other origins that scripts may load scripts from.
    """
    values = {
        "PARSER": _PARSER, "ELEMENTS": ",".join(_ELEMENTS), "ORIGINS": [*origins],
    }  # fmt: skip
    script = _SCRIPT
    for name, value in values.items():
        script = script.replace(name, json.dumps(value))
    return script


def complaints(origins: cabc.Iterable[str]) -> cabc.Iterator[Complaint]:
    """Yield what is no origin."""
    for origin in origins:
        if _ORIGIN.fullmatch(origin) is None:
            expected = "an origin: scheme, host and port in lower case, nothing after"
            yield "trusted-types.bad-origin", expected, origin, "https://cdn.example"

"""Check the English of pages, docstrings, comments, messages and command output.

Run by ``nox -s lint`` and by prek; ``python -m flaskware_tools.voice PATH ...`` checks
folders or files. A line that is right as it is ends with ``# voice: ok``.
"""

# Two tools were considered first. Vale is a Go binary, and its distribution on PyPI
# downloads that from a forge when it first runs, without a hash. codespell compares
# single words with lists: it knows neither docstrings nor turns of several words, and
# reads identifiers as prose.

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
import typing as t
from pathlib import Path

from .matrix import packages
from .matrix import ROOT

_AFTER_ONE = (
    "that|which|who|whose|of|in|on|at|for|from|to|with|by|before|after|it|they|is|was"
)
# Refused turns, and what to write instead. A blank matches any white space.
_RULES = {
    r"\btold\b(?! apart)": "say 'reported', 'shown', 'passed' or 'known'",
    r"\btell(?:s|ing)?\b(?! (?:[\w`]+ ){0,4}apart)": "say 'report', 'show' or 'say'",
    r"\bmend(?:s|ed|ing)?\b": "say 'fix'",
    r"\banew\b": "say 'again'",
    r"\bwhoever\b": "say 'anyone who', or name them",
    r"\b(?:that|which|what) (?:is|are|was|were) none\b": "say 'is not a …'",
    r"\bshall\b": "say 'will' or 'must', or use the present tense",
    r"\bwhom\b": "name them, or turn the sentence around",
    r"\bbe had\b": "say 'is available' or 'can be reached'",
    r"\bkeeps? out\b": "say 'blocks'",
    r"\bleft to chance\b": "say 'random'",
    r"\b(?:for|out|each|all|to|by) who\b": "name them: 'clients', 'readers', 'users'",
    r"\bones\b": "repeat the noun",
    r"\b(?:an?|the) (?!single|only)[a-z]+ one\b(?! of\b)": "repeat the noun",
    rf"\bthe one(?= (?:{_AFTER_ONE})\b|[.,;:)]|$)": "repeat the noun",
    r"(?<!exactly\s)(?<!least\s)(?<!than\s)\bone (?:that|which|who|whose)\b": (
        "repeat the noun, or say 'a … that'"
    ),
    r"\b(?:each|another|which) one\b(?! of\b)": "repeat the noun",
    r"(?<!so\s)\b(?:this|that) one(?=[.,;:)]|$| (?:is|was|has|does)\b)": (
        "repeat the noun"
    ),
}
_REFUSED = [
    *(
        (re.compile(pattern.replace(" ", r"\s+"), re.IGNORECASE), remedy)
        for pattern, remedy in _RULES.items()
    ),
    (
        # The start of a sentence that is not a question.
        re.compile(
            r"(?:\A|[.;:!?]\s+)(?:What(?! to)|Who|Whose|Whatever)\b(?![^.!]*\?)"
        ),
        "begin with the subject of the sentence, by its name",
    ),
]
_OPENING = (
    re.compile(r"\A(?:What|How|Whether|Which|Who|Whose)\b"),
    "open with an imperative ('Return …') or a noun ('Seconds until …')",
)


class Prose(t.NamedTuple):
    """Text for people in a source file, with its first and last line."""

    first: int
    last: int
    text: str
    is_docstring: bool = False


def prose(source: str) -> list[Prose]:
    """Return the docstrings, comments and messages of a module."""
    return [*_comments(source), *_strings(ast.parse(source))]


# Pages that are written before this check.
_NOT_YET = {"CODE_OF_CONDUCT.md"}

# On a page, code, comments, targets of links and addresses are not English.
_NOT_ENGLISH = re.compile(
    r"^(?P<fence>`{3,}|:::)\{?(?!note|tip|warning|glossary|figure)[^\n]*\n.*?^(?P=fence)$"
    r"|^<!--.*?-->$|\]\([^)\n]*\)|https?://\S+",
    re.MULTILINE | re.DOTALL,
)


def paragraphs(page: str) -> list[Prose]:
    """Return the paragraphs, list items and table rows of a page in Markdown."""
    english = _NOT_ENGLISH.sub(lambda code: re.sub(r"\S", "`", code[0]), page)
    found: list[Prose] = []
    for match in re.finditer(
        r"(?:^(?![ ]*$).*\n?)(?:^(?![ ]*(?:[-|#:]|\d+\. |$)).*\n?)*",
        english,
        re.MULTILINE,
    ):
        first = english.count("\n", 0, match.start()) + 1
        text = re.sub(r"^[ |#:*-]+", "", match[0])
        found.append(Prose(first, first + match[0].rstrip().count("\n"), text))
    return found


def _comments(source: str) -> t.Iterator[Prose]:
    """Yield each block of comments as one text."""
    block: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        follows = block and token.start[0] == block[-1].start[0] + 1
        if block and not (follows and token.line.lstrip().startswith("#")):
            yield _joined(block)
            block = []
        block.append(token)
    if block:
        yield _joined(block)


def _joined(block: list[tokenize.TokenInfo]) -> Prose:
    text = "\n".join(token.string.lstrip("#: ") for token in block)
    return Prose(block[0].start[0], block[-1].start[0], text)


def _strings(node: ast.AST) -> t.Iterator[Prose]:
    """Yield the strings below a node that have more than two words."""
    for child in ast.iter_child_nodes(node):
        is_docstring = isinstance(node, ast.Expr)
        if isinstance(child, ast.JoinedStr):
            parts = [getattr(part, "value", "") for part in child.values]
            text = "".join(part if isinstance(part, str) else "{}" for part in parts)
        elif isinstance(child, ast.Constant) and isinstance(child.value, str):
            text = child.value
        else:
            yield from _strings(child)
            continue
        if len(text.split()) > 2:
            last = child.end_lineno or child.lineno
            yield Prose(child.lineno, last, text, is_docstring)


def check(path: Path) -> list[str]:
    """Return a line for each finding in a file: place, words, and what to write."""
    source = path.read_text("utf-8")
    lines = source.splitlines()
    found: dict[tuple[int, str], str] = {}
    read = paragraphs if path.suffix == ".md" else prose
    for first, last, text, is_docstring in read(source):
        # Code in backquotes is not English.
        english = re.sub(r"(`+)[^`]*\1", lambda code: re.sub(r"\S", "`", code[0]), text)
        for pattern, remedy in [*([_OPENING] if is_docstring else []), *_REFUSED]:
            for match in pattern.finditer(english):
                words = " ".join(match[0].split()).lstrip(".;:!? ")
                near = range(first + english[: match.end()].count("\n"), last + 1)
                word = words.rpartition(" ")[2]
                line = next((n for n in near if word in lines[n - 1]), first)
                if not any(lines[n - 1].endswith("# voice: ok") for n in (line, last)):
                    found.setdefault((line, words), remedy)
    return [f"{path}:{n}: “{words}”: {found[n, words]}" for n, words in sorted(found)]


def sources(root: Path = ROOT) -> list[Path]:
    """Return the folders and files that ``nox -s lint`` checks."""
    return [
        *(item.source for item in packages(root).values()),
        *(root / "tools" / "src", root / "docs" / "examples", root / "noxfile.py"),
        *pages(root),
    ]


def pages(root: Path = ROOT) -> list[Path]:
    """Return the pages for users and contributors."""
    docs = root / "docs"
    found = [*root.glob("*.md"), *docs.glob("*.md")]
    found += [*docs.glob("guides/*.md"), *docs.glob("tutorial/*.md")]
    for package in packages(root).values():
        folder = package.folder
        found += [folder / "README.md", *(folder / "docs").rglob("*.md")]
    return sorted(path for path in found if path.name not in _NOT_YET)


def main(arguments: list[str]) -> None:
    found: list[str] = []
    for path in map(Path, arguments) if arguments else sources():
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            found += check(file)
    if found:
        print("\n".join(found))
        sys.exit(f"voice: rewrite {len(found)} places; see CONTRIBUTING.md")
    print("voice: nothing to rewrite")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Our checks against csp_evaluator, Google's checker of policies.

``verdicts.json`` has what it says of each policy; where npm is, it is asked again.
``FLASKWARE_WRITE_VERDICTS=1`` writes the file.
"""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path

import pytest
from secure_scanners import ask_node
from secure_scanners import CSP_EVALUATOR

from flaskware_secure import Policy
from flaskware_secure._audit.grading import grade_headers
from flaskware_secure._policy.lint import lint
from flaskware_secure._policy.weakness import weaknesses

PAGE = Path(__file__).parents[1] / "docs/scores.md"
VERDICTS = CSP_EVALUATOR / "verdicts.json"
Directives = dict[str, tuple[str, ...]]

_NONCE = "'nonce-0123456789abcdef'"
_HASH = "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='"
_SOURCES = (
    "'self'", "'none'", "'unsafe-inline'", "'unsafe-eval'", "'strict-dynamic'",
    "'unsafe-hashes'", "'report-sample'", "'wasm-unsafe-eval'", _NONCE, _HASH,
    "*", "https:", "http:", "data:", "blob:", "https://*", "cdn.example",
    "https://cdn.example", "http://old.example", "*.assets.example",
    "https://cdnjs.cloudflare.com", "ajax.googleapis.com", "*.googleapis.com",
    "https://www.google.com", "https://www.google.com/recaptcha/", "unpkg.com",
    "cdn.jsdelivr.net", "https://code.angularjs.org", "https://host.example:8443/a/",
    # What people really write wrong:
    "self", "none", "unsafe-inline", "strict-dynamic", "unsafe-eval", "wasm-eval",
    "nonce-0123456789abcdef", _HASH.strip("'"), "'slef'", "'unsafe-inlin'",
    "script-src", "img-src", "'sha1-abc'",
)  # fmt: skip
_DIRECTIVES = (
    "default-src", "script-src", "script-src-elem", "script-src-attr", "style-src",
    "object-src", "base-uri", "img-src", "frame-src", "connect-src", "worker-src",
)  # fmt: skip
# Which hosts serve anybody's files is a list of each one's own. csp_evaluator asks what
# injected markup can run: eval, plain http and styles it only mentions, or not at all.
_OWN_JUDGEMENT = frozenset(
    {"csp-open-host", "csp-unsafe-eval", "csp-insecure-scheme", "csp-weak-styles"}
)
_GRAVE = frozenset({"HIGH", "SYNTAX"})
_WRONG = ("scirpt-src", "defualt-src", "script-scr:", "images-src", "script_src")


def _policies() -> list[Directives]:
    """The same 600 policies each time: random, and one of each source alone."""
    chance = random.Random("policies")
    found: list[Directives] = [
        {"script-src": (source,), "object-src": ("'none'",), "base-uri": ("'none'",)}
        for source in _SOURCES
    ]
    while len(found) < 600:
        names = chance.sample(_DIRECTIVES, chance.randint(1, 5))
        if chance.random() < 0.1:
            names.append(chance.choice(_WRONG))
        found.append(
            {
                name: tuple(chance.sample(_SOURCES, chance.randint(1, 4)))
                for name in names
            }
        )
    return found


def _written(policy: Directives) -> str:
    return "; ".join(" ".join((name, *sources)) for name, sources in policy.items())


def _ours(policy: Directives) -> set[str]:
    """The directives in which we find something wrong or weak."""
    found = {weakness.directive for weakness in weaknesses(policy)}
    for problem in lint(Policy(csp=policy)):
        found.add(problem.key.partition("[")[2].strip("']"))
    return found


@pytest.fixture(scope="module")
def verdicts() -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = json.loads(VERDICTS.read_text())
    return found


def test_what_csp_evaluator_calls_high_or_syntax_is_found_here_too(
    verdicts: dict[str, list[list[str]]],
) -> None:
    policies = _policies()
    assert len({*map(_written, policies)}) > 590
    grave = 0
    for policy in policies:
        ours = _ours(policy)
        for kind, directive, value in verdicts[_written(policy)]:
            grave += 1
            assert directive in ours, (kind, directive, value, _written(policy))
    assert grave > 1000


def test_a_policy_with_which_csp_evaluator_is_content_is_not_called_weak(
    verdicts: dict[str, list[list[str]]],
) -> None:
    content = [p for p in _policies() if not verdicts[_written(p)]]
    assert len(content) > 5
    for policy in content:
        found = [w for w in weaknesses(policy) if w.code not in _OWN_JUDGEMENT]
        assert found == [], _written(policy)


def test_each_kind_of_weakness_that_csp_evaluator_does_not_call_high_is_in_the_guide(
    verdicts: dict[str, list[list[str]]],
) -> None:
    differing: dict[str, int] = {}
    for policy in _policies():
        theirs = {directive for _, directive, _ in verdicts[_written(policy)]}
        ours = {w.code for w in weaknesses(policy) if w.directive not in theirs}
        for code in ours:
            differing[code] = differing.get(code, 0) + 1
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| `(csp-[a-z-]+)` \| (\d+) \|", page, re.MULTILINE)
    assert {code: int(count) for code, count in rows} == differing


def test_the_audit_of_a_policy_lists_what_lint_refuses_in_it() -> None:
    for policy in _policies():
        # A header does not tell whether its nonce is a new one each time.
        renewed = {
            name: tuple("'nonce'" if source == _NONCE else source for source in sources)
            for name, sources in policy.items()
        }
        linted = {each.code for each in lint(Policy(csp=renewed))}
        header = ("Content-Security-Policy", _written(policy))
        found = grade_headers([header]).findings
        audited = {each.code for each in found if each.code.startswith("csp.")}
        weak = {each.code for each in found} & {w.code for w in weaknesses(policy)}
        assert (audited, weak) == (linted, {w.code for w in weaknesses(policy)})


@pytest.mark.slow
def test_csp_evaluator_still_says_what_its_verdicts_say() -> None:
    asked = [_written(policy) for policy in _policies()]
    found = ask_node(CSP_EVALUATOR, "evaluate.js", asked)
    answered = {
        policy: [finding for severity, *finding in findings if severity in _GRAVE]
        for policy, findings in zip(asked, found, strict=True)
    }
    if os.environ.get("FLASKWARE_WRITE_VERDICTS"):
        text = ",\n".join(
            f"{json.dumps(policy)}: {json.dumps(found)}"
            for policy, found in answered.items()
        )
        VERDICTS.write_text(f"{{\n{text}\n}}\n")
    assert answered == json.loads(VERDICTS.read_text())

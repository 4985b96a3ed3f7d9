"""The page on OWASP ASVS: what it names is there, and what nothing else shows."""

from __future__ import annotations

import base64
import random
import re
from pathlib import Path

from flaskware_session._records.token import new_token

TESTS = Path(__file__).parent
CHAPTER = {1: 3, 2: 4, 3: 2, 4: 5, 5: 3, 6: 2}


def rows() -> dict[str, str]:
    page = (TESTS.parent / "docs" / "asvs.md").read_text("utf-8")
    found = re.findall(r"^\| (7\.\d\.\d) (.*)$", page, re.MULTILINE)
    assert len(dict(found)) == len(found)
    return dict(found)


def test_each_requirement_of_the_chapter_has_its_line() -> None:
    wanted = [f"7.{part}.{i + 1}" for part, n in CHAPTER.items() for i in range(n)]
    assert list(rows()) == wanted


def test_each_line_names_tests_that_are_there_or_says_that_it_is_the_app_s() -> None:
    for number, line in rows().items():
        named = re.findall(r"`(test_\w+\.py)::(\w+)`", line)
        assert named or "| yours |" in line, number
        for file, name in named:
            text = (TESTS / file).read_text("utf-8")
            assert re.search(rf"def {name}\(", text), f"{number}: {file}::{name}"


def test_ids_are_unique_and_have_256_random_bits() -> None:
    tokens = []
    for _ in range(2000):
        # A generator that can be seeded would give the same again.
        random.seed(7)
        tokens.append(new_token("ann"))
    secrets = [base64.urlsafe_b64decode(token[34:] + "=") for token in tokens]
    names = [token[12:34] for token in tokens]
    assert {len(secret) for secret in secrets} == {32}
    assert len(set(secrets)) == len(set(names)) == len(tokens)
    # Each bit is set about as often as not: of 2000, 6 standard deviations.
    for bit in range(256):
        count = sum(secret[bit // 8] >> bit % 8 & 1 for secret in secrets)
        assert 866 < count < 1134

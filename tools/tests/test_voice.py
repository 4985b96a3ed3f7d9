from __future__ import annotations

import pytest

from flaskware_tools import matrix
from flaskware_tools import voice


def found(tmp_path, source):
    path = tmp_path / "module.py"
    path.write_text(source)
    return [line.removeprefix(f"{path}:") for line in voice.check(path)]


@pytest.mark.parametrize(
    "text",
    [
        "What it returns is this.",
        "How long it takes.",
        "Whether there is a row.",
        "Which row is meant.",
        "Who is signed in.",
        "Whose session it is.",
    ],
)
def test_a_docstring_opens_with_an_imperative_or_a_noun(tmp_path, text):
    (line,) = found(tmp_path, f'def f():\n    """{text}"""\n')
    assert line.startswith(f"2: “{text.split()[0]}”: open with an imperative")
    assert not found(tmp_path, f'def f():\n    """Return {text.lower()}"""\n')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The caller is told of it.", "told"),
        ("The schema tells the type.", "tells"),
        ("Mend the rest by hand.", "Mend"),
        ("The table is written anew.", "anew"),
        ("It is for whoever asks.", "whoever"),
        ("A database that is none is refused.", "that is none"),
        ("It shall be so.", "shall"),
        ("The lock cannot be had now.", "be had"),
        ("A lock keeps out all readers.", "keeps out"),
        ("It is read by all who ask.", "all who"),
        ("The old ones are kept.", "ones"),
        ("It takes the one that is newest.", "one that"),
        ("It makes a new one at once.", "a new one"),
        ("It is older than this one.", "this one"),
        ("It goes on to another one.", "another one"),
        ("It is done. What takes longer waits.", "What"),
    ],
)
def test_a_turn_is_refused_in_docstrings_comments_and_messages(tmp_path, text, words):
    sources = [f'"""{text}"""\n', f"# {text}\n", f"raise ValueError({text!r})\n"]
    for source in [*sources, f'print(f"{{0}} {text}")\n']:
        refused = found(tmp_path, f"\n{source}")
        assert any(line.startswith(f"2: “{words}”: ") for line in refused), source


@pytest.mark.parametrize(
    "text",
    [
        "Return one of the rows, one per page.",
        "There must be exactly one that fits.",
        "It is done so that one request waits.",
        "Every one of them is kept, one by one.",
        "Return the one column that is added.",
        "The names cannot be told apart.",
        "The field tells two models apart.",
        "Give it `told` or ``whoever`` as names.",
        "Do it again. What is your name?",
    ],
)
def test_numbers_code_and_questions_are_right(tmp_path, text):
    assert not found(tmp_path, f'"""{text}"""\n# {text}\nprint({text!r})\n')


def test_code_is_no_english(tmp_path):
    source = 'told = {"ones": 1, "whoever": 2}\ntold["anew"] = told.get("this one")\n'
    assert not found(tmp_path, source)


def test_a_finding_names_the_line_of_its_words(tmp_path):
    source = 'raise ValueError(\n    "This value is wrong, "\n    "as we are told"\n)\n'
    assert found(tmp_path, source)[0].startswith("3: “told”")
    source = '"""Return it.\n\nThe caller\nis told.\n"""\n'
    assert found(tmp_path, source)[0].startswith("4: “told”")
    source = "# The caller is\n# told so.\n"
    assert found(tmp_path, source)[0].startswith("2: “told”")


def test_a_line_can_be_waived(tmp_path):
    assert not found(tmp_path, 'SEEN = "as we are told"  # voice: ok\n')


def test_the_paragraphs_of_a_page_are_checked(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# What it is\n\nIt is\ntold so.\n\n- Good.\n- What fails.\n\n| a | whoever |\n"
    )
    assert [line.removeprefix(f"{page}:") for line in voice.check(page)] == [
        "1: “What”: begin with the subject of the sentence, by its name",
        "4: “told”: say 'reported', 'shown', 'passed' or 'known'",
        "7: “What”: begin with the subject of the sentence, by its name",
        "9: “whoever”: say 'anyone who', or name them",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```python\ntold = anew\n```",
        "<!-- setup\ntold = anew\n-->",
        "Use `told`, [here](told.md), https://told.example/anew.",
        ":::{confval} TOLD\nanew\n:::",
    ],
)
def test_code_and_targets_on_a_page_are_not_english(tmp_path, text):
    (tmp_path / "page.md").write_text(f"# Title\n\n{text}\n")
    assert not voice.check(tmp_path / "page.md")


def test_every_source_is_checked():
    names = {path.name for path in voice.sources()}
    assert {"src", "examples", "noxfile.py", "README.md", "glossary.md"} <= names
    assert {item.module for item in matrix.packages().values()} <= names


def test_a_check_of_the_repository_says_what_to_do(tmp_path, capsys):
    voice.main([])
    assert capsys.readouterr().out == "voice: nothing to rewrite\n"
    (tmp_path / "a.py").write_text('"""Mend what is broken."""\n')
    with pytest.raises(SystemExit, match="rewrite 1 places"):
        voice.main([str(tmp_path)])
    assert "a.py:1: “Mend”: say 'fix'" in capsys.readouterr().out

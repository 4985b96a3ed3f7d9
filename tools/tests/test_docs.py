"""What the documentation shows is parsed, and what it names is there."""

from __future__ import annotations

import ast
import importlib.util
import re
import types
from pathlib import Path

import click
import flask
import pytest

from flaskware_tools import commands
from flaskware_tools import examples


@pytest.fixture
def app():
    app = flask.Flask(__name__)

    @app.cli.group()
    def db():
        pass

    @db.command()
    @click.option("--sql/--no-sql")
    @click.argument("target", default="head")
    def upgrade(sql, target):
        pass

    return app


def test_commands_are_found_in_code_only():
    page = "Run flask x.\n`flask db upgrade`\n```\n$ flask --app a run  # why\n```\n"
    assert commands.named(page) == ["db upgrade", "--app a run"]


@pytest.mark.parametrize(
    "command",
    ["db upgrade", "--app board db upgrade +1 --no-sql", "run --debug", "db --help"],
)
def test_a_command_that_exists_is_no_problem(app, command):
    assert commands.problem(command, app) is None


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("db upgarde", "there is no upgarde"),
        ("db upgrade --sqll", "upgrade has no --sqll"),
        ("dbb upgrade", "there is no dbb"),
    ],
)
def test_a_command_that_does_not_is_named(app, command, told):
    assert told in (commands.problem(command, app) or "")


@pytest.mark.parametrize(
    ("language", "right", "wrong"),
    [
        ("json", '{"a": 1}', "{'a': 1}"),
        ("toml", "a = 1", "a ="),
        ("ini", "[a]\nb = 1", "b = 1"),
        ("jinja", "{% if a %}b{% endif %}", "{% if a %}b"),
    ],
)
def test_an_example_in_another_language_is_parsed(language, right, wrong):
    page = "one\n```{}\n{}\n```\n"
    assert examples.misspelled(page.format(language, right)) is None
    assert f"line 3: {language}: " in (
        examples.misspelled(page.format(language, wrong)) or ""
    )


_ROOT = Path(__file__).parents[2]
_FINDING = re.compile(
    r'Finding\(\s*f?"((?:core|secure|session|forms|sqlalchemy|alembic)\.[a-z-]+)'
    # An id that is put together is on the page of errors, see below.
    r'(?![a-z{-])[^"]*",\s*Level\.([A-Z]+)'
)
_ROW = re.compile(
    r"^\| `([a-z]+\.[a-z-]+)` \| ([a-z]+)(?: ●)? \| .+ \| (\S+) \|$", re.M
)
_NONE = "\N{EN DASH}"


def test_every_finding_of_the_doctor_has_a_row_with_its_level_and_requirement():
    page = (_ROOT / "docs/doctor.md").read_text("utf-8")
    rows = {id: (level, item) for id, level, item in _ROW.findall(page)}
    sources = [
        *(_ROOT / "packages").glob("*/src/*/_checks.py"),
        *(_ROOT / "packages/core/src/flaskware_core/_doctor").glob("*.py"),
    ]
    written = {
        (id, level.lower())
        for path in sources
        for id, level in _FINDING.findall(path.read_text("utf-8"))
    }
    assert len(written) > 60
    shown = {(id, level) for id, (level, _) in rows.items()}
    assert written - shown == set()
    for id, (_, requirement) in rows.items():
        assert requirement == _NONE or re.fullmatch(r"\d+\.\d+\.\d+", requirement), id


def _directive():
    path = _ROOT / "docs/_ext/errors_directive.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _on_the_page_of_errors():
    """The ids of findings on the page of errors; an ellipsis is for the run to say."""
    module = _directive()
    directive = types.SimpleNamespace(arguments=["Finding"])
    lines = list(module.FindingsDirective.lines(directive))
    return {line.strip("`") for line in lines if line.startswith("`")}


def _fits(shown, id):
    # What a run adds behind the last dot names a view or a field.
    stem = shown.removesuffix(".\N{HORIZONTAL ELLIPSIS}")
    return re.fullmatch(stem.replace("\N{HORIZONTAL ELLIPSIS}", "[a-z-]*"), id)


def test_the_page_of_errors_and_that_of_the_doctor_have_the_same_findings():
    page = (_ROOT / "docs/doctor.md").read_text("utf-8")
    rows = {id for id, *_ in _ROW.findall(page)}
    # This one is of every extension; the page of the doctor has it in a sentence.
    shown = _on_the_page_of_errors() - {"\N{HORIZONTAL ELLIPSIS}.no-answer"}
    assert len(shown) > 90
    assert {each for each in shown if not any(_fits(each, id) for id in rows)} == set()
    assert {id for id in rows if not any(_fits(each, id) for each in shown)} == set()


_POLICY = _ROOT / "packages/secure/src/flaskware_secure"
_CODE = re.compile(
    r'"((?:csp|permissions|cors|integrity|paths|reports|header|hsts|redirect|nonces'
    r"|security-txt|trusted-types|change-password)"
    r'\.[a-z]+(?:-[a-z]+)*)"'
)


def test_every_code_of_a_policy_is_on_the_page_of_its_configuration():
    rooms = [*_POLICY.glob("_policy/*.py"), *_POLICY.glob("_well_known/*.py")]
    sources = [*rooms, _POLICY / "_settings.py"]
    texts = "".join(path.read_text("utf-8") for path in sources)
    codes = {*_CODE.findall(texts)} - {"integrity.json"}  # the name of a file
    page = (_ROOT / "packages/secure/docs/configuration.md").read_text("utf-8")
    found = re.findall(r"`([a-z-]+\.[a-z-]+)`", page.partition("## Codes")[2])
    shown = {*found} - {"security.txt"}
    assert len(codes) > 40
    assert codes == shown


def _texts(call):
    return [
        node.value
        for argument in [*call.args, *(word.value for word in call.keywords)]
        for node in ast.walk(argument)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def test_every_problem_of_a_configuration_is_on_the_page_of_errors():
    directive = _directive()
    shown = "\n".join(
        directive.FindingsDirective.lines(
            types.SimpleNamespace(arguments=["ConfigProblem"])
        )
    )
    count = 0
    for path in _ROOT.glob("packages/*/src/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func).rpartition(".")[2]
            if name not in {"ConfigProblem", "PolicyProblem"}:
                continue
            # The second argument is the expected value, if the call itself has it.
            expected = _texts(ast.Call(node.func, node.args[1:2], []))
            count += bool(expected)
            assert all(text in shown for text in expected if len(text) > 12), (
                f"{path.name}:{node.lineno}"
            )
    assert count > 30


def test_a_term_that_a_page_introduces_is_in_the_glossary():
    text = (_ROOT / "docs/glossary.md").read_text("utf-8")
    terms = {line.lower() for line in re.findall(r"^(?![#`])\S.*$", text, re.MULTILINE)}
    assert len(terms) > 60
    introduced = {
        term
        for path in _ROOT.glob("packages/*/docs/**/*.md")
        for term in re.findall(
            r"(?<!\*)\*([a-z][a-z -]+)\*(?!\*)", path.read_text("utf-8")
        )
    }
    assert len(introduced) > 8
    unknown = {
        term
        for term in introduced
        if not any(known in term or term.rstrip("s") in known for known in terms)
    }
    assert unknown == set()


# The checks of security of Django 5.2, and those that run with --deploy only; E026 came
# with 6.0.
_OF_DJANGO = {
    "async.E001", "caches.W002", "caches.W003", "security.E023", "security.E024",
    "security.E026", "security.E101", "security.E102", "security.W001",
    "security.W002", "security.W003", "security.W004", "security.W005",
    "security.W006", "security.W008", "security.W009", "security.W010",
    "security.W011", "security.W012", "security.W013", "security.W014",
    "security.W015", "security.W016", "security.W018", "security.W019",
    "security.W020", "security.W021", "security.W022", "security.W025",
}  # fmt: skip


def test_each_check_of_django_has_a_counterpart_that_is_there_or_a_reason():
    page = (_ROOT / "docs/doctor.md").read_text("utf-8")
    rows = {id for id, *_ in _ROW.findall(page)}
    named = set()
    for left, right in re.findall(
        r"^\| ((?:async|caches|security)\..+?) \| (.+) \|$", page, re.MULTILINE
    ):
        group = left.partition(".")[0]
        named |= {f"{group}.{number}" for number in re.findall(r"\b[EW]\d{3}\b", left)}
        counterparts = set(re.findall(r"`([a-z]+\.[a-z-]+)`", right))
        assert counterparts <= rows
        assert counterparts or re.match("none: .+|refused at `init_app`", right), left
    assert named == _OF_DJANGO

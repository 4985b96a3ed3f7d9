"""Apps that `flaskware new` makes pass their own checks at once."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
import tomllib
import urllib.request
from pathlib import Path

import click.testing
import flaskware
import pytest
import yaml
from flaskware.__main__ import main

from flaskware_core.testing import free_port

TEMPLATE = Path(flaskware.__file__).with_name("app")
DATABASES = ("postgresql", "mariadb", "sqlite", "none")
SESSIONS = ("redis", "files", "cookie")
EVERY = list(itertools.product(DATABASES, SESSIONS, ("yes", "no")))
# The ordinary tests take the defaults, what needs no service, and the least.
FEW = [EVERY[0], ("sqlite", "files", "yes"), ("none", "cookie", "no")]


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a command with this Python's tools and return its output."""
    place = str(Path(sys.executable).parent)
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLASK_")}
    done = subprocess.run(
        [Path(place, command[0]), *command[1:]], cwd=cwd, text=True, check=False,
        env={**clean, "PATH": place + os.pathsep + os.environ["PATH"], **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def new(folder: Path, *options: str, name: str = "shop") -> Path:
    result = flaskware_new(name, "--defaults", f"--folder={folder / name}", *options)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("made ")
    return folder / name


def flaskware_new(*arguments: str) -> click.testing.Result:
    return click.testing.CliRunner().invoke(main, ["new", *arguments])


def options(database: str, sessions: str, forms: str) -> tuple[str, ...]:
    return f"--database={database}", f"--sessions={sessions}", f"--forms={forms}"


@pytest.fixture
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A new app with the answers of the parameter."""
    return new(tmp_path, *options(*request.param))


def passes_its_tests(app: Path, request: pytest.FixtureRequest) -> None:
    required = request.config.getoption("--require-services")
    more = ["--require-services"] if required else []
    printed = run(
        "pytest", "-q", "-p", "no:cacheprovider", *more,
        cwd=app, PYTHONPATH=str(app / "src"),
    )  # fmt: skip
    assert " passed" in printed


def passes_its_checks(app: Path, cache: Path) -> None:
    run("ruff", "check", "--no-cache", cwd=app)
    run("ruff", "format", "--check", "--no-cache", cwd=app)
    run(
        "mypy", "--cache-dir", str(cache),
        cwd=app, MYPYPATH=str(app / "src"), PYTHONPATH=str(app / "src"),
    )  # fmt: skip
    run(
        "check-jsonschema", "--builtin-schema=vendor.compose-spec", "compose.yaml",
        cwd=app,
    )  # fmt: skip
    run(
        "check-jsonschema", "--builtin-schema=vendor.github-workflows",
        ".github/workflows/ci.yml", cwd=app,
    )  # fmt: skip


@pytest.mark.parametrize("app", FEW, indirect=True, ids="-".join)
def test_the_tests_of_a_new_app_pass_at_once(app, request):
    passes_its_tests(app, request)


@pytest.mark.slow
@pytest.mark.parametrize(
    "app", [answers for answers in EVERY if answers not in FEW], indirect=True,
    ids="-".join,
)  # fmt: skip
def test_the_tests_of_every_new_app_pass_at_once(app, request):
    passes_its_tests(app, request)


@pytest.mark.slow
def test_every_new_app_passes_its_own_checks(tmp_path):
    for answers in EVERY:
        folder = tmp_path / "-".join(answers)
        folder.mkdir()
        passes_its_checks(new(folder, *options(*answers)), tmp_path / "cache")
    longest = new(tmp_path, name="a_name_of_20_letters")
    passes_its_checks(longest, tmp_path / "cache")


@pytest.mark.parametrize("app", EVERY, indirect=True, ids="-".join)
def test_no_answer_leaves_a_trace_of_the_template(app):
    for path in app.rglob("*"):
        assert "{" not in path.name
        assert path.suffix != ".jinja"
        if path.is_file():
            text = path.read_text()
            if path.suffix != ".html":
                assert "{%" not in text, path
            assert "\n\n\n\n" not in text, path
            assert text.strip() or path.name == "py.typed", path
            assert (text.endswith("\n") and not text.endswith("\n\n")) or not text, path


def test_each_app_has_secrets_of_its_own(tmp_path):
    first, second = new(tmp_path, name="one"), new(tmp_path, name="two")
    for name in ("secret_key", "database_password"):
        one, two = ((app / "secrets" / name).read_text() for app in (first, second))
        assert len(one.strip()) == 64
        assert one != two
    ignored = (first / ".gitignore").read_text().splitlines()
    assert {".env", "/secrets/"} <= set(ignored)
    for path in first.rglob("*"):
        hidden = path.name == ".env" or path.parent.name == "secrets"
        if path.is_file() and not hidden:
            assert (first / "secrets" / "secret_key").read_text().strip() not in (
                path.read_text()
            )


def test_the_app_requires_what_its_answers_need(tmp_path):
    app = new(tmp_path, "--database=none", "--sessions=cookie", "--forms=no")
    project = tomllib.loads((app / "pyproject.toml").read_text())["project"]
    names = {text.partition(">=")[0] for text in project["dependencies"]}
    assert names == {
        "flask", "flaskware-core", "flaskware-secure", "gunicorn", "python-dotenv",
    }  # fmt: skip
    assert (
        "database" not in yaml.safe_load((app / "compose.yaml").read_text())["services"]
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Shop", "20 lowercase letters"),
        ("my-shop", "20 lowercase letters"),
        ("1shop", "20 lowercase letters"),
        ("../shop", "20 lowercase letters"),
        ("a_name_of_21_letters_", "up to 20"),
        ("class", "another module"),
        ("json", "another module"),
        ("flask", "another module"),
        ("tests", "another module"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(name, message, tmp_path):
    result = flaskware_new(name, "--defaults", f"--folder={tmp_path / 'made'}")
    assert result.exit_code == 2
    assert message in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_is_left_alone(tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "README.md").write_text("mine")
    result = flaskware_new("shop", "--defaults", f"--folder={tmp_path / 'shop'}")
    assert result.exit_code == 1
    assert "exists and is not empty" in result.output
    assert (tmp_path / "shop" / "README.md").read_text() == "mine"


def test_without_a_terminal_it_asks_for_defaults(tmp_path):
    result = flaskware_new("shop", f"--folder={tmp_path / 'shop'}")
    assert result.exit_code == 1
    assert "write --defaults" in result.output


def test_the_command_is_installed_and_takes_the_folder_of_the_name(tmp_path):
    printed = run("flaskware", "new", "shop", "--defaults", cwd=tmp_path)
    assert printed == "made shop; shop/README.md says how to run it\n"
    assert (tmp_path / "shop" / "pyproject.toml").exists()


def test_every_question_is_an_option():
    printed = flaskware_new("--help").output
    for name, question in yaml.safe_load((TEMPLATE / "copier.yml").read_text()).items():
        if not name.startswith("_"):
            assert f"--{name} [{'|'.join(question['choices'].values())}]" in printed
            assert question["help"].split()[0] in printed


@pytest.mark.slow
def test_the_steps_of_the_dockerfile_serve_the_app(tmp_path, postgresql_url, redis_url):
    """Without Docker: build the wheel, install it, migrate, run its command."""
    app = new(tmp_path)
    lines = (app / "Dockerfile").read_text().splitlines()
    wheels = tmp_path / "wheels"
    run("python", "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(wheels), ".",
        cwd=app)  # fmt: skip
    site = tmp_path / "site"
    run("python", "-m", "pip", "install", "--no-deps", "--no-index", "--find-links",
        str(wheels), "--target", str(site), "shop", cwd=tmp_path)  # fmt: skip
    port = free_port()
    (tmp_path / "uri").write_text(postgresql_url)
    environment = {
        "PYTHONPATH": str(site),
        "FLASK_APP": "shop",
        "FLASK_SECRET_KEY_FILE": str(app / "secrets" / "secret_key"),
        "FLASK_SQLALCHEMY_DATABASE_URI_FILE": str(tmp_path / "uri"),
        "FLASK_SESSION_STORE": redis_url,
        "FLASK_TRUSTED_HOSTS": '["127.0.0.1"]',
    }
    run("flask", "db", "upgrade", cwd=tmp_path, **environment)
    command = json.loads(lines[-1].removeprefix("CMD "))
    command = [part.replace("0.0.0.0:8000", f"127.0.0.1:{port}") for part in command]
    server = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env={**os.environ, **environment},
    )
    try:
        check = next(line for line in lines if line.startswith("HEALTHCHECK"))
        health = json.loads(check.partition("CMD ")[2])[-1].replace("8000", str(port))
        for _ in range(300):
            done = subprocess.run([sys.executable, "-c", health], check=False)
            if done.returncode == 0 or server.poll() is not None:
                break
            time.sleep(0.2)
        assert done.returncode == 0
        for path in ("/readyz", "/"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as answer:
                assert answer.status == 200
    finally:
        server.terminate()
        server.wait(60)

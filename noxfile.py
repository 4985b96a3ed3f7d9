"""Every workflow of the repository; `nox -l` lists them.

Package names may follow `--`, such as `nox -s tests -- core session`; without any, a
workflow takes all of them. Arguments after the names go to the tool that it runs.
"""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import shutil
import sys
from pathlib import Path

import nox
import nox.command
import uv

sys.path.insert(0, "tools/src")

from flaskware_tools import companions as suites
from flaskware_tools import matrix
from flaskware_tools import neighbours as beside
from flaskware_tools import plan as matrix_of_jobs
from flaskware_tools.parallel import run_side_by_side

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests"]
nox.options.error_on_external_run = True
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
os.environ["UV"] = uv.find_uv_bin()

ROOT = Path(__file__).parent
CONFIG = ROOT / "shared-config"
REQUIREMENTS = CONFIG / "requirements"
CACHE = ROOT / ".cache"
PACKAGES = matrix.packages()
PROJECTS = [*PACKAGES, *matrix_of_jobs.OTHERS]
NEIGHBOURS = beside.neighbours()
# The checks of CI, each as it follows `nox -s`, the longest first. The session `ci`
# runs them side by side; GitHub runs a job for each, from `nox -s plan`. The tests are
# separate: they run for each project, Python and set of services.
CHECKS = (
    "typing",
    "docs",
    "build",
    "demo -- --production --check",
    "demo -- --check",
    "layout",
    "api",
    "lint",
    "workflows",
)
STANDALONE = ("lint", "typing", "docs", "bench", "workflows")
PYTHONS: list[str] = matrix.read_matrix()["python"]["versions"]


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split the arguments after `--` into leading names of projects and the rest."""
    count = 0
    while count < len(arguments) and arguments[count] in {*PROJECTS, *NEIGHBOURS}:
        count += 1
    return arguments[:count], arguments[count:]


ASKED, REST = _split(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else [])


def _each(names: list[str]) -> object:
    """Run a session once per selected project, each in its own environment."""
    chosen = [name for name in names if name in ASKED] if ASKED else names
    return nox.parametrize("name", [nox.param(name, id=name) for name in chosen])


def _per_project(function: cabc.Callable[..., None]) -> object:
    """Run a session for each project; for all of them, as many at once as fit."""
    if ASKED:
        return nox.session(_each(PROJECTS)(function))  # type: ignore[operator]

    def all_projects(session: nox.Session) -> None:
        _refuse_unknown(session)
        python = ("-P", str(session.python)) if session.python else ()
        # The more there is to test, the longer it takes.
        names = sorted(PROJECTS, key=_size_of_tests, reverse=True)
        command = (sys.executable, "-m", "nox", *python, "-s", function.__name__, "--")
        failed = run_side_by_side(
            {name: (*command, name, *session.posargs) for name in names}
        )
        if failed:
            session.error(f"failed: {', '.join(failed)}")

    all_projects.__doc__ = function.__doc__
    return nox.session(name=function.__name__, venv_backend="none")(all_projects)


def _size_of_tests(name: str) -> int:
    return sum(path.stat().st_size for path in (_folder(name) / "tests").rglob("*.py"))


def _refuse_unknown(session: nox.Session) -> None:
    """Stop if the first argument is not the name of a project."""
    if REST and not REST[0].startswith("-"):
        session.error(f"no project is named {REST[0]}; there are {', '.join(PROJECTS)}")


def _install(session: nox.Session, name: str, *, siblings: list[str]) -> None:
    """Install the locked requirements of a project, then wheels of the named packages.

    The tests run against wheels because users install wheels.
    """
    # `new` is given the name of a package that does not exist yet.
    if name != "tools":
        _refuse_unknown(session)
    session.run_install(
        "uv",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "-r",
        REQUIREMENTS / f"{name}.txt",
    )
    _install_wheels(session, siblings)


def _install_wheels(session: nox.Session, names: list[str]) -> None:
    out = Path(session.create_tmp()) / "wheels"
    shutil.rmtree(out, ignore_errors=True)
    for sibling in names:
        session.run_install(
            "uv", "build", "--quiet", "--wheel", "--out-dir", out,
            matrix.distributions()[sibling].folder,
        )  # fmt: skip
    if names:
        session.install(
            "--quiet", "--no-deps", *sorted(str(path) for path in out.glob("*.whl"))
        )


def _siblings(name: str) -> list[str]:
    if name == "tools":
        return []
    return list(PACKAGES) if name == "noticeboard" else matrix.closure(name)


def _folder(name: str) -> Path:
    if name in PACKAGES:
        return PACKAGES[name].folder
    return ROOT / matrix_of_jobs.OTHERS[name]


def _pytest(session: nox.Session, name: str, *arguments: str) -> None:
    """Run the tests of a project, the slow tests only if `-m` selects them."""
    folder = _folder(name)
    environment = {}
    if name == "tools":
        environment["PYTHONPATH"] = str(folder / "src")
        # The option belongs to the plugin of flaskware-core, which is not installed.
        arguments = tuple(part for part in arguments if part != "--require-services")
    if name == "noticeboard":
        environment["PYTHONPATH"] = str(folder)
    if "-m" not in arguments:
        arguments = ("-m", "not slow", *arguments)
    # pytest exits with 5 if a project has no slow tests.
    success = [0, 5] if "slow" in arguments else [0]
    measured: tuple[object, ...] = ()
    if session.name.startswith("coverage"):
        source = f"flaskware_{name}" if name in PACKAGES else name
        data = CACHE / "coverage" / f"{name}.{session.python or 'default'}"
        data.parent.mkdir(parents=True, exist_ok=True)
        environment["COVERAGE_FILE"] = str(data)
        environment["COVERAGE_RCFILE"] = str(CONFIG / "coverage.toml")
        measured = ("coverage", "run", f"--source={source}", "-m")
    session.run(
        *measured, "pytest",
        "-c", CONFIG / "pytest.ini", f"--rootdir={folder}", folder / "tests",
        *arguments, env=environment, success_codes=success,
    )  # fmt: skip
    if measured:
        session.run("coverage", "combine", "--quiet", env=environment)
        session.run("coverage", "report", env=environment)


@_per_project
def tests(session: nox.Session, name: str) -> None:
    """Run the tests of each package, with only its declared dependencies installed.

    `tests_slow` runs the slow tests.
    """
    _install(session, name, siblings=_siblings(name))
    _pytest(session, name, *REST)


@_per_project
def tests_slow(session: nox.Session, name: str) -> None:
    """Run the slow tests: browsers, other processes, stopped servers."""
    _install(session, name, siblings=_siblings(name))
    _pytest(session, name, "-m", "slow", *REST)


@nox.session
@_each(matrix.read_matrix()["frameworks"]["quart"])
def tests_quart(session: nox.Session, name: str) -> None:
    """Run the tests of each package that is native in Quart with apps of Quart."""
    _install(session, name, siblings=_siblings(name))
    _pytest(session, name, "--framework=quart", *REST)


@nox.session
@_each(PROJECTS)
def coverage(session: nox.Session, name: str) -> None:
    """Run the tests of each package, and print which lines and branches they miss."""
    _install(session, name, siblings=_siblings(name))
    _pytest(session, name, *REST)


@nox.session
@_each(list(PACKAGES))
def tests_min(session: nox.Session, name: str) -> None:
    """Run the tests on the lowest versions that each package declares."""
    _install_resolved(session, name, "--resolution=lowest-direct")
    _pytest(session, name, *REST)


@nox.session
@_each(list(PACKAGES))
def tests_pre(session: nox.Session, name: str) -> None:
    """Run the tests on the newest versions and pre-releases, with new examples."""
    _install_resolved(session, name, "--prerelease=allow", "--upgrade")
    _pytest(session, name, "--hypothesis-profile=default", *REST)


def _install_resolved(session: nox.Session, name: str, *options: str) -> None:
    project = PACKAGES[name].folder / "pyproject.toml"
    session.install(
        "--quiet", *options, "--all-extras", "-r", project,
        "--group", f"{project}:tests", "--group", f"{ROOT / 'pyproject.toml'}:tests",
    )  # fmt: skip
    _install_wheels(session, _siblings(name))


@nox.session
@_each([*dict.fromkeys(suite.package for suite in suites.companions()), *NEIGHBOURS])
def companions(session: nox.Session, name: str) -> None:
    """Run suites and apps of other projects with our packages: `companions/`.

    A name is a package whose suites run, or a neighbour; `-- flask-cors --write` keeps
    its result for the page "Works with".
    """
    if name in NEIGHBOURS:
        family = [part for one in PACKAGES.values() for part in ("-e", str(one.folder))]
        folder = ROOT / beside.FOLDER
        session.install(
            "--quiet", "-r", folder / "family.txt", *family, *NEIGHBOURS[name].install
        )
        _run_tool(session, "neighbours", name, *REST)
        return
    folder = CACHE / "companions"
    ours = [str(PACKAGES[sibling].folder) for sibling in _siblings(name)]
    session.install("--quiet", "pip", *ours)
    failed: list[str] = []
    for suite in suites.companions():
        if suite.package != name:
            continue
        # The packages that build them may come as wheels.
        names = ",".join(source.partition("==")[0] for source in suite.sources)
        session.run(
            "python", "-m", "pip", "download", "--quiet", "--no-deps",
            f"--no-binary={names}", f"--dest={folder}", *suite.sources,
        )  # fmt: skip
        for run, wanted in suite.runs.items():
            session.install("--quiet", *suite.install, *wanted)
            try:
                _run_tool(
                    session, "companions", suite.folder.name, run,
                    f"--archives={folder}",
                )  # fmt: skip
            except nox.command.CommandFailed:
                failed.append(f"{suite.folder.name} on {run}")
    if failed:
        session.error(f"not as expected: {', '.join(failed)}")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format and English; `-- --fix` fixes style and format."""
    _install(session, "lint", siblings=[])
    config = ("--config", CONFIG / "ruff.toml")
    paths = ("packages", "starter", "tools", "docs", "companions", "noxfile.py")
    fix = "--fix" in REST
    session.run("ruff", "check", *config, *(["--fix"] if fix else []), *paths)
    session.run("ruff", "format", *config, *([] if fix else ["--check"]), *paths)
    _run_tool(session, "voice")


@_per_project
def typing(session: nox.Session, name: str) -> None:
    """Check types with mypy and pyright, both strict, including user code."""
    _install(session, name, siblings=_siblings(name))
    _check_types(session, name)
    if name == "noticeboard":
        _check_tutorial(session)
    if name in PACKAGES:
        _measure_types(session, PACKAGES[name].module)


@nox.session
@_each(list(PACKAGES))
def typing_min(session: nox.Session, name: str) -> None:
    """Check the types of user code on the lowest versions of the dependencies."""
    _install_resolved(session, name, "--resolution=lowest-direct")
    _check_types(session, name, only=Path("tests/typing"))


def _check_types(session: nox.Session, name: str, only: Path | None = None) -> None:
    session.run_install(
        "uv", "pip", "install", "--quiet", "--require-hashes", "-r",
        REQUIREMENTS / "typing.txt",
    )  # fmt: skip
    folder = _folder(name)
    inner = (only,) if only else ("src", "tests/typing", "noticeboard")
    paths = [folder / place for place in inner if (folder / place).exists()]
    search = os.pathsep.join([str(folder / "src"), str(folder)])
    # Without the sources in the path, user code sees the installed package.
    environment = {"MYPYPATH": search} if not only else {}
    cache = f"{name}{'-min' if only else ''}"
    _run_checkers(session, cache, folder, paths, environment)


def _check_tutorial(session: nox.Session) -> None:
    """Check the files of the tutorial, as its last page leaves them."""
    folder = Path(session.create_tmp()) / "tutorial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    _run_tool(session, "tutorial", "--files", str(folder))
    paths = [folder / "board", folder / "wsgi.py"]
    _run_checkers(session, "tutorial", folder, paths, {"MYPYPATH": str(folder)})


def _run_checkers(
    session: nox.Session,
    cache: str,
    folder: Path,
    paths: list[Path],
    environment: dict[str, str],
) -> None:
    session.run(
        "mypy", "--config-file", CONFIG / "mypy.ini",
        "--cache-dir", CACHE / "mypy" / cache, *paths, env=environment,
    )  # fmt: skip
    project = Path(session.create_tmp()) / "pyrightconfig.json"
    project.write_text(_pyright_config(project.parent, paths, folder))
    session.run("pyright", "--pythonpath", Path(session.bin) / "python", "-p", project)


def _measure_types(session: nox.Session, module: str) -> None:
    """Log how much of the public API is typed, as counted by pyright."""
    found = session.run(
        "pyright", "--ignoreexternal", "--outputjson", "--verifytypes", module,
        silent=True, success_codes=[0, 1],
    )  # fmt: skip
    report = json.loads(str(found))["typeCompleteness"]
    counts = report["exportedSymbolCounts"]
    share = counts["withKnownType"] / sum(counts.values())
    session.log(f"{module}: {share:.0%} of the public names have an exact type")


def _pyright_config(folder: Path, paths: list[Path], search: Path) -> str:
    def relative(path: Path) -> str:
        return Path(os.path.relpath(path, folder)).as_posix()

    return json.dumps(
        {
            "extends": relative(CONFIG / "pyrightconfig.json"),
            "include": [relative(path) for path in paths],
            # The sources first, or an import of the package finds the wheel.
            "extraPaths": [relative(search / "src"), relative(search)],
        }
    )


@nox.session
def layout(session: nox.Session) -> None:
    """Check the layout of every package; `-- --fix` writes the generated tables."""
    _install(session, "tools", siblings=[])
    environment = {"PYTHONPATH": str(ROOT / "tools" / "src")}
    if "--fix" in REST:
        session.run("python", "-m", "flaskware_tools.tables", "--fix", env=environment)
    session.run(
        "pytest", "-c", CONFIG / "pytest.ini", f"--rootdir={ROOT / 'tools'}", "-q",
        ROOT / "tools" / "layout", *(part for part in REST if part != "--fix"),
        env=environment,
    )  # fmt: skip


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation without warnings, and run its examples and commands.

    With names, only the examples of these packages are run.
    """
    _install(session, "docs", siblings=list(PACKAGES))
    session.run(
        "sphinx-build", "--fail-on-warning", "--keep-going", "--fresh-env", "-q",
        "docs", "docs/_build/html",
    )  # fmt: skip
    folders = [PACKAGES[name].folder for name in ASKED if name in PACKAGES]
    pages = [str(page) for folder in folders for page in folder.glob("docs/**/*.md")]
    _run_tool(session, "examples", *pages, *(f"{path}/README.md" for path in folders))
    _run_tool(session, "commands")
    if not ASKED:
        _run_tool(session, "tutorial")
    session.log(f"open {ROOT / 'docs/_build/html/index.html'}")


@nox.session
@_each(list(PACKAGES))
def api(session: nox.Session, name: str) -> None:
    """Compare the public API with that of the last release.

    `-- --dump` prints it, `-- --against REV` compares it with a revision of git.
    """
    _tool(session, "api", name, *REST)


@nox.session
def bench(session: nox.Session) -> None:
    """Time each package, and whole pages, against bare Flask and today's extensions.

    `-- --compare REV` shows what changed, `-- --write` updates the chart in the docs.
    """
    _install(session, "bench", siblings=list(PACKAGES))
    _run_tool(session, "bench", *session.posargs)


@nox.session
def build(session: nox.Session) -> None:
    """Build each package twice, compare, install it alone, run its README example."""
    names, _ = _split(list(session.posargs))
    _tool(session, "build", *names)


@nox.session
def release(session: nox.Session) -> None:
    """Prepare the release of a package; a dry run without `--write`."""
    _tool(session, "release", *session.posargs)


@nox.session
def new(session: nox.Session) -> None:
    """Make a new extension from the template: `nox -s new -- mail`."""
    _tool(session, "new", *session.posargs)
    _run_tool(session, "tables", "--fix")
    session.notify("lock", posargs=[])


def _tool(session: nox.Session, module: str, *arguments: str) -> None:
    _install(session, "tools", siblings=[])
    _run_tool(session, module, *arguments)


def _run_tool(session: nox.Session, module: str, *arguments: str) -> None:
    session.run(
        "python", "-m", f"flaskware_tools.{module}", *arguments,
        env={"PYTHONPATH": str(ROOT / "tools" / "src")},
    )  # fmt: skip


@nox.session
def dev(session: nox.Session) -> None:
    """Make `.venv` with all tools, and each package editable."""
    session.run_install("uv", "venv", "--allow-existing", ".venv")
    install = ("uv", "pip", "install", "--quiet", "--python", ".venv")
    session.run_install(
        *install, "--require-hashes", "-r", REQUIREMENTS / "dev.txt"
    )  # fmt: skip
    editable = [part for item in PACKAGES.values() for part in ("-e", item.folder)]
    editable += ["-e", ROOT / "starter"]
    session.run_install(*install, "--no-deps", *editable, "-e", "tools")
    session.log(f"activate it with: source {ROOT / '.venv/bin/activate'}")


@nox.session
def demo(session: nox.Session) -> None:
    """Serve the demo app; `-- --check` tries every step, `-- --help` lists more."""
    _install(session, "noticeboard", siblings=list(PACKAGES))
    session.run(
        "python", "-m", "noticeboard", *session.posargs,
        env={"PYTHONPATH": str(_folder("noticeboard"))}, success_codes=[0, 130],
    )  # fmt: skip


@nox.session
def screenshots(session: nox.Session) -> None:
    """Take the screenshots for the documentation; needs Chromium."""
    _install(session, "noticeboard", siblings=list(PACKAGES))
    folder = _folder("noticeboard")
    session.run(
        "python", folder / "screenshots.py", "--out", ROOT / "docs" / "images",
        env={"PYTHONPATH": str(folder)},
    )  # fmt: skip


@nox.session(venv_backend="none")
def ci(session: nox.Session) -> None:
    """Run all checks of CI and the slow tests, that is everything but `tests`."""
    nox_command = (sys.executable, "-m", "nox")
    failed = run_side_by_side(
        {
            # An environment of its own, as one session may be there twice.
            check: (*nox_command, "--envdir", f".nox/ci-{at}", "-s", *check.split())
            for at, check in enumerate(CHECKS)
        }
    )
    for tests in ("tests_slow", "tests_quart"):
        command = (*nox_command, "-s", tests, "--", "--require-services")
        failed += run_side_by_side({tests: command})
    if failed:
        session.error(f"failed: {', '.join(failed)}")


@nox.session(venv_backend="none")
def plan(session: nox.Session) -> None:
    """Print the test jobs of CI; `-- --base REV` skips projects without a change."""
    matrix_of_jobs.main(session.posargs, CHECKS)


@nox.session
def workflows(session: nox.Session) -> None:
    """Check the workflows and forms in `.github` with actionlint and zizmor."""
    _install(session, "workflows", siblings=[])
    _run_tool(session, "workflows")


@nox.session
def links(session: nox.Session) -> None:
    """Check every link of the documentation, including links to other sites."""
    _install(session, "docs", siblings=list(PACKAGES))
    session.run(
        "sphinx-build", "--builder", "linkcheck", "--fresh-env", "-q",
        "-D", "linkcheck_timeout=20", "-D", "linkcheck_ignore=http://(127|localhost).*",
        "docs", "docs/_build/links",
    )  # fmt: skip


@nox.session
def lock(session: nox.Session) -> None:
    """Update the locked requirements; `-- --upgrade` takes the newest versions."""
    root = "pyproject.toml"
    family = matrix.packages()  # read again: `new` may just have added one
    groups = {name: [f"{root}:{name}"] for name in STANDALONE}
    everything = [f"packages/{name}/pyproject.toml" for name in family]
    sources: dict[str, tuple[list[str], list[str]]] = {
        name: (
            [f"packages/{sibling}/pyproject.toml" for sibling in matrix.closure(name)],
            [f"{root}:tests", f"packages/{name}/pyproject.toml:tests"],
        )
        for name in family
    }
    sources["tools"] = (
        ["tools/pyproject.toml"],
        [f"{root}:tests", "tools/pyproject.toml:tests"],
    )
    sources[matrix.STARTER] = (
        [*everything, "starter/pyproject.toml"],
        [f"{root}:tests", "starter/pyproject.toml:tests"],
    )
    sources["noticeboard"] = (
        everything,
        [f"{root}:{group}" for group in ("tests", "demo", "browser")],
    )
    sources |= {name: ([], groups[name]) for name in ("lint", "typing", "workflows")}
    sources["docs"] = (everything, [*groups["docs"], f"{root}:tests"])
    sources["bench"] = (everything, [*groups["bench"], f"{root}:demo"])
    every_group = dict.fromkeys(
        group for _, items in sources.values() for group in items
    )
    dev = (
        [*everything, "starter/pyproject.toml", "tools/pyproject.toml"],
        list(every_group),
    )
    # The union first: every other file is a subset of it, at the same versions.
    for name, (projects, needed) in {"dev": dev, **sources}.items():
        out = REQUIREMENTS / f"{name}.txt"
        constraint = [] if name == "dev" else ["-c", REQUIREMENTS / "dev.txt"]
        session.run(
            "uv", "pip", "compile", "--quiet", "--universal", "--generate-hashes",
            f"--python-version={PYTHONS[0]}", "--no-header", "--no-annotate",
            *(["--all-extras"] if projects else []), *projects, *constraint,
            *(part for group in needed for part in ("--group", group)),
            *(part for item in matrix.distributions().values()
              for part in ("--no-emit-package", item.distribution)),
            *(session.posargs if name == "dev" else []),
            "--output-file", out, silent=True, log=False,
        )  # fmt: skip
        session.log(f"wrote {out.relative_to(ROOT)}")

"""Build a package twice, compare the builds byte for byte, and try them."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .examples import script
from .matrix import closure
from .matrix import distributions
from .matrix import Package
from .matrix import ROOT
from .matrix import STARTER

# Given by nox, or found beside this interpreter or on the path.
_PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
UV = os.environ.get("UV") or shutil.which("uv", path=_PLACES) or "uv"
# 2020-02-02; any fixed date would do.
_EPOCH = "1580601600"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class BuildError(Exception):
    """A package does not build, differs from its twin, or does not work alone."""


def build(package: Package, out: Path) -> list[Path]:
    """Build the sdist and, from it, the wheel, twice; return the first pair.

    :raises BuildError: if the two builds differ.
    """
    first, second = (_build_once(package, out / part) for part in ("one", "two"))
    for one, two in zip(first, second, strict=True):
        if one.read_bytes() != two.read_bytes():
            raise BuildError(f"{one.name}: two builds of one tree differ")
    return first


def _build_once(package: Package, out: Path) -> list[Path]:
    run(UV, "build", "--quiet", "--out-dir", out, package.folder)
    return sorted(path for path in out.iterdir() if path.suffix in {".whl", ".gz"})


def check_metadata(artifacts: list[Path]) -> None:
    """Check the metadata with twine, as an index does.

    :raises BuildError: if a description cannot be shown or a field is wrong.
    """
    run(sys.executable, "-m", "twine", "check", "--strict", *artifacts)


def make_alone(package: Package, wheels: Path, folder: Path) -> Path:
    """Install a package in an empty environment, its siblings from a folder of wheels.

    :return: The environment's interpreter.
    """
    family = distributions(package.root)
    needed = [family[name] for name in closure(package.name, package.root)]
    python = _install(needed, wheels, folder / f"alone-{package.name}")
    run(python, "-c", f"import {package.module}", cwd=folder)
    return python


def _install(needed: list[Package], wheels: Path, environment: Path) -> Path:
    """Install packages by name and version, so that the resolver works as for users."""
    python = empty_environment(environment)
    run(
        UV, "pip", "install", "--quiet", "--python", python, "--find-links", wheels,
        *(f"{item.distribution}=={item.version}" for item in needed),
    )  # fmt: skip
    return python


def run_together(family: list[Package], wheels: Path, folder: Path) -> None:
    """Install the whole family, nothing else, and run the example of the main README.

    An extension that finds another must not ask for what only an extra brings.
    """
    python = _install(family, wheels, folder / "together")
    code = script((ROOT / "README.md").read_text("utf-8"))
    place = folder / "example"
    place.mkdir()
    (place / "example.py").write_text(code, "utf-8")
    run(python, "-W", "error", "example.py", cwd=place)


def empty_environment(folder: Path) -> Path:
    """Make an empty virtual environment and return its interpreter."""
    run(UV, "venv", "--quiet", "--python", sys.executable, folder)
    return folder / ("Scripts" if os.name == "nt" else "bin") / "python"


def run_readme(package: Package, python: Path, folder: Path) -> str:
    """Run the example of a package's README and return its output."""
    (folder / "readme.py").write_text(readme_example(package), "utf-8")
    return run(python, "-W", "error", "readme.py", cwd=folder)


def run_sdist_tests(
    package: Package, sdist: Path, wheels: Path, folder: Path, *options: str
) -> str:
    """Run the tests of an sdist against the wheels, outside the repository.

    :return: pytest's last line.
    """
    unpacked = folder / f"sdist-{package.name}"
    with tarfile.open(sdist) as tar:
        tar.extractall(unpacked, filter="data")
    (tree,) = unpacked.iterdir()
    if not (tree / "tests").is_dir():
        raise BuildError(f"{sdist.name} has no tests")
    shutil.rmtree(tree / "src")  # the tests import the wheel
    python = empty_environment(folder / f"tests-{package.name}")
    install = (UV, "pip", "install", "--quiet", "--python", python)
    config = package.root / "shared-config"
    locked = config / "requirements" / f"{package.name}.txt"
    run(*install, "--require-hashes", "-r", locked)
    needed = closure(package.name, package.root)
    modules = [distributions(package.root)[name].module for name in needed]
    files = [path for name in modules for path in wheels.glob(f"{name}-*.whl")]
    run(*install, "--no-deps", *files)
    printed = run(
        python, "-m", "pytest", "-c", config / "pytest.ini", f"--rootdir={tree}", "-q",
        *options, tree / "tests", cwd=tree,
    )  # fmt: skip
    return printed.strip().splitlines()[-1]


def write_sbom(package: Package, python: Path, path: Path) -> None:
    """Write the contents of an environment as CycloneDX, with the package as root."""
    tool = Path(sys.executable).with_name("cyclonedx-py")
    run(
        tool, "environment", python, "--pyproject", package.folder / "pyproject.toml",
        "--mc-type", "library", "--output-reproducible", "--short-PURLs",
        "--output-format", "JSON", "--output-file", path,
    )  # fmt: skip


def readme_example(package: Package) -> str:
    """Return the first Python block of a package's README."""
    readme = (package.folder / "README.md").read_text("utf-8")
    match = _BLOCK.search(readme)
    if match is None:
        raise BuildError(f"{package.name}: its README has no Python example")
    return match[1]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command and return its output.

    :raises BuildError: with the whole output, if it fails.
    """
    environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH}
    environment.pop("VIRTUAL_ENV", None)
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        words = " ".join(str(part) for part in command)
        raise BuildError(f"{words}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_starter(python: Path, wheels: Path, folder: Path) -> None:
    """Make an app, install it with what it requires, and run its first command."""
    run(
        python, "-m", STARTER, "new", "shop", "--defaults", "--database=sqlite",
        "--sessions=files", cwd=folder,
    )  # fmt: skip
    app = folder / "shop"
    run(
        UV, "pip", "install", "--quiet", "--python", python, "--find-links", wheels,
        "--editable", app,
    )  # fmt: skip
    run(python, "-m", "flask", "db", "upgrade", cwd=app)


def try_out(package: Package, wheels: Path, folder: Path) -> tuple[Path, str]:
    """Install a package in an empty environment, and do what its README says first.

    :return: The environment's interpreter, and a line on what was done, followed by
        its output.
    """
    python = make_alone(package, wheels, folder)
    if package.name == STARTER:
        run_starter(python, wheels, folder)
        return python, "installed alone, and made an app that migrates its database"
    printed = run_readme(package, python, folder)
    lines = "".join(f"\n    {line}" for line in printed.splitlines())
    return python, f"installed alone, its README example ran{lines}"


def main() -> None:
    family = distributions()
    parser = argparse.ArgumentParser(prog="python -m flaskware_tools.build")
    parser.add_argument("names", nargs="*", default=list(family))
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    names: list[str] = arguments.names
    out: Path = arguments.out
    needed = [name for name in family if any(name in closure(n) for n in names)]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flaskware-build-") as temporary:
        folder = Path(temporary)
        wheels = folder / "wheels"
        wheels.mkdir()
        for name in needed:
            artifacts = build(family[name], folder / name)
            check_metadata(artifacts)
            for path in artifacts:
                shutil.copy(path, wheels)
                shutil.copy(path, out)
                size = f"{path.stat().st_size / 1024:.1f} KiB"
                print(f"{path.name}  {size}, identical twice")
        for name in names:
            _, done = try_out(family[name], wheels, folder)
            print(f"{name}: {done}")
        if set(names) == set(family):
            extensions = [item for item in family.values() if item.name != STARTER]
            run_together(extensions, wheels, folder)
            print("all: installed together, the example of the README ran")


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(f"build: {error}")

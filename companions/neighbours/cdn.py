"""A network for delivery of scripts, on this machine: what pages load from elsewhere.

Chromium asks it in place of every other host. It has the published packages that a test
names, and answers in the way of the public ones.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import tarfile
import typing as t
from pathlib import Path

import flask
from browser import chromium

from flaskware_core.testing import ServiceUnavailable
from flaskware_core.testing import serving

_VERSION = re.compile(r"(?<=[^/])@[^/]+")


@contextlib.contextmanager
def browser_with(folder: Path, *packages: str) -> t.Iterator[t.Any]:
    """Start a Chromium for which other hosts have some packages of npm.

    :param packages: Such as ``"react@18.2.0"``.
    """
    with serving(_delivery(_unpack(folder, packages)), certificate="adhoc") as address:
        port = address.rpartition(":")[2]
        rule = f"MAP * 127.0.0.1:{port}, EXCLUDE 127.0.0.1"
        with chromium(
            f"host-resolver-rules={rule}", "ignore-certificate-errors"
        ) as driver:
            yield driver


def _unpack(folder: Path, packages: tuple[str, ...]) -> dict[str, Path]:
    npm = shutil.which("npm")
    if npm is None:
        raise ServiceUnavailable("npm is not installed")
    found: dict[str, Path] = {}
    for number, package in enumerate(packages):
        place = folder / f"npm-{number}"
        place.mkdir()
        subprocess.run(
            [npm, "pack", "--silent", package],
            cwd=place,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with tarfile.open(next(place.glob("*.tgz"))) as archive:
            archive.extractall(place, filter="data")
        (inner,) = (each for each in place.iterdir() if each.is_dir())
        found[_VERSION.sub("", package)] = inner
    return found


def _delivery(packages: dict[str, Path]) -> flask.Flask:
    app = flask.Flask("delivery")

    @app.get("/<path:path>")
    def file(path: str) -> flask.Response:
        path = _VERSION.sub("", path.removeprefix("npm/"))
        found = [name for name in packages if path.startswith(f"{name}/")]
        if not found:
            flask.abort(404)
        rest = path.removeprefix(f"{found[0]}/")
        answer = flask.send_from_directory(packages[found[0]], rest)
        answer.headers["Access-Control-Allow-Origin"] = "*"
        return answer

    return app

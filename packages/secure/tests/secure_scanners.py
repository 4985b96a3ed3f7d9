"""The scanners that sites are graded by, from npm, asked about apps really served."""

from __future__ import annotations

import atexit
import collections.abc as cabc
import contextlib
import dataclasses as dc
import functools
import json
import os
import shutil
import subprocess
import tempfile
import typing as t
from pathlib import Path

import flask

from flaskware_core.testing import node_modules
from flaskware_core.testing import ServiceUnavailable
from flaskware_core.testing import serving

CSP_EVALUATOR = Path(__file__).with_name("csp_evaluator")
OBSERVATORY = Path(__file__).with_name("observatory")
_NAMES = "subjectAltName=DNS:*.app.example,IP:127.0.0.1"


@dc.dataclass(frozen=True)
class Scan:
    """What MDN's HTTP Observatory says of an app, and csp_evaluator of its policy.

    :param failed: Results of the tests that the app did not pass.
    """

    score: int
    results: cabc.Sequence[str]
    failed: cabc.Sequence[str]
    csp: str
    findings: cabc.Sequence[cabc.Sequence[str]] = ()


def ask_node(
    folder: Path, script: str, questions: object, **environment: str
) -> list[t.Any] | dict[str, t.Any]:
    """Ask a script of a folder with npm's lock file, by JSON on its standard input.

    :raises ServiceUnavailable: if npm is not installed or cannot install packages.
    """
    installed = _installed(folder)
    shutil.copy(folder / script, installed)
    done = subprocess.run(
        [str(shutil.which("node")), script], cwd=installed, check=True, text=True,
        input=json.dumps(questions), capture_output=True, timeout=60,
        env={**os.environ, **environment},
    )  # fmt: skip
    answers: list[t.Any] | dict[str, t.Any] = json.loads(done.stdout)
    return answers


@functools.cache
def _installed(folder: Path) -> Path:
    """The folder of the packages of a lock file, for as long as the tests run."""
    target = Path(tempfile.mkdtemp(prefix="secure-npm-"))
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    return node_modules(folder, target).parent


def make_certificate(folder: Path) -> tuple[str, str]:
    """Write a certificate for ``*.app.example`` and its key, and return their paths.

    :raises ServiceUnavailable: if openssl is not installed.
    """
    openssl = shutil.which("openssl")
    if openssl is None:
        raise ServiceUnavailable("openssl is not installed")
    paths = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        [
            openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
            "-subj", "/CN=www.app.example", "-addext", _NAMES,
            # It signs itself, which a strict reader takes from none but an authority.
            "-addext", "keyUsage=critical,digitalSignature,keyCertSign",
            "-out", paths[0], "-keyout", paths[1],
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return paths


def scan(apps: cabc.Mapping[str, flask.Flask], folder: Path) -> dict[str, Scan]:
    """Serve apps over http and TLS, and return what the scanners say of each.

    :param apps: By a name that is a label of a host, such as ``"one-line"``.
    :param folder: An empty folder for the certificate.
    """
    certificate = make_certificate(folder)
    hosts: dict[str, dict[str, int]] = {}
    with contextlib.ExitStack() as stack:
        for name, app in apps.items():
            plain = stack.enter_context(serving(app))
            secure = stack.enter_context(serving(app, certificate=certificate))
            ports = [int(each.rpartition(":")[2]) for each in (plain, secure)]
            hosts[f"{name}.app.example"] = dict(
                zip(("http", "https"), ports, strict=True)
            )
        trusted = {"NODE_EXTRA_CA_CERTS": certificate[0]}
        answers = t.cast(
            "dict[str, t.Any]", ask_node(OBSERVATORY, "scan.js", hosts, **trusted)
        )
    policies = [answer["csp"] for answer in answers.values()]
    judged = ask_node(CSP_EVALUATOR, "evaluate.js", policies)
    return {
        name: Scan(**answer, findings=findings)
        for name, answer, findings in zip(apps, answers.values(), judged, strict=True)
    }

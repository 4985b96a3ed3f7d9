"""What a server's input stream raises, told as what the client did."""

from __future__ import annotations

import typing as t

from werkzeug.exceptions import HTTPException

from flaskware_forms._errors.problem import BadBody


def guard_input(environ: dict[str, t.Any]) -> None:
    """Make a body that the server cannot read a 400, whoever reads it.

    PEP 3333 leaves open what ``wsgi.input`` raises: Gunicorn has exceptions of its own
    for chunks that are none, which Werkzeug does not know.
    """
    stream = environ.get("wsgi.input")
    if stream is not None and not isinstance(stream, _Input):
        environ["wsgi.input"] = _Input(stream)


class _Input:
    """Reads on behalf of Werkzeug, which of a stream needs ``read`` only."""

    def __init__(self, stream: t.Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> t.Any:
        if name == "readinto":
            # Werkzeug prefers it where it is there, and would then pass by read().
            raise AttributeError(name)
        return getattr(self._stream, name)

    def read(self, size: int = -1) -> bytes:
        try:
            return t.cast("bytes", self._stream.read(size))
        except Exception as error:
            if not _is_of_client(error):
                raise
            raise BadBody("The body could not be read to its end.") from error


def _is_of_client(error: Exception) -> bool:
    if isinstance(error, HTTPException):
        return False
    # A mistake in code raises what Python has, of which these three are about data;
    # what a server defines, it raises for what it was sent.
    return isinstance(error, (OSError, EOFError, ValueError)) or (
        type(error).__module__ != "builtins"
    )

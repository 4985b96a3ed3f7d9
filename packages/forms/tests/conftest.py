from __future__ import annotations

import collections.abc as cabc
import io
import sys
import typing as t
from pathlib import Path

import flask
import jinja2
import pytest

from flaskware_core.testing import make_app
from flaskware_forms import Bound
from flaskware_forms import Forms
from flaskware_forms import FormSpec

# What the tests share is in modules beside them.
sys.path.insert(0, str(Path(__file__).parent))

PAGE = "<title>{{ title }}</title>{% block form %}{{ form.render() }}{% endblock %}"


class Site:
    """An app with one form at /, which keeps what was submitted."""

    def __init__(self, spec: FormSpec[t.Any], **config: t.Any) -> None:
        self.forms = Forms()
        self.app = make_app(self.forms, **config)
        self.app.jinja_loader = jinja2.DictLoader({"page.html": PAGE, "bare.html": "-"})
        self.data: t.Any = None
        self.calls = 0

        def view(form: Bound[t.Any]) -> flask.typing.ResponseReturnValue:
            self.calls += 1
            data = form.submit()
            if data is not None:
                self.data = data
                return form.done("/done", data)
            return form.respond("page.html", title="A page")

        self.app.add_url_rule(
            "/", "form", spec.handles(view), methods=["GET", "POST", "PUT"]
        )
        self.client = self.app.test_client()

    def post(self, data: t.Any = None, **options: t.Any) -> t.Any:
        headers = {"Sec-Fetch-Site": "same-origin", **options.pop("headers", {})}
        return self.client.post("/", data=data, headers=headers, **options)


@pytest.fixture
def make_site() -> cabc.Callable[..., Site]:
    return Site


@pytest.fixture
def picture() -> cabc.Callable[..., bytes]:
    import PIL.Image

    def make(kind: str = "PNG", size: tuple[int, int] = (8, 6)) -> bytes:
        stream = io.BytesIO()
        PIL.Image.new("RGB", size, "teal").save(stream, kind)
        return stream.getvalue()

    return make

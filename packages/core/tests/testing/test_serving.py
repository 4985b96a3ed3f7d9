from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from flaskware_core.testing import make_app
from flaskware_core.testing import serving


def test_an_app_is_served_while_it_is_needed():
    app = make_app()
    app.add_url_rule("/", "index", lambda: "served")
    with serving(app) as address, urllib.request.urlopen(address) as answer:
        assert answer.read() == b"served"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)


def test_an_app_is_served_no_longer_after_an_error():
    with pytest.raises(LookupError), serving(make_app()) as address:
        raise LookupError
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(address)

from __future__ import annotations

import flask
import pytest

from flaskware_secure import clear_site_data


def test_a_logout_clears_what_the_browser_keeps(app: flask.Flask) -> None:
    @app.post("/logout")
    def logout() -> flask.typing.ResponseReturnValue:
        return clear_site_data(app.redirect("/plain"))

    response = app.test_client().post("/logout")
    assert response.headers["Clear-Site-Data"] == '"cache", "cookies", "storage"'
    assert response.status_code == 302


def test_only_what_is_named_is_cleared() -> None:
    response = clear_site_data(flask.Response(), "storage")
    assert response.headers["Clear-Site-Data"] == '"storage"'


def test_an_unknown_kind_of_data_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not know 'cookie'; write any of"):
        clear_site_data(flask.Response(), "cookie")  # type: ignore[arg-type]

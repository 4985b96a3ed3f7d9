from __future__ import annotations

import pytest
import sqlalchemy as sa

from flaskware_core import NotInitialised
from flaskware_core.testing import isolation
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import SQLAlchemy


def test_one_extension_on_two_apps_uses_the_database_of_each(site, tmp_path):
    other = make_app(
        site.db,
        instance_path=tmp_path / "other",
        SQLALCHEMY_DATABASE_URI="sqlite:///app.db",
    )
    with other.app_context():
        site.db.create_all(bind_key=None)
        site.db.session.add(site.User(name="other"))
        site.db.session.commit()
        with site.app.app_context():
            assert site.db.engine is not site.db.engines["audit"]
            site.db.session.add(site.User(name="ada"))
            site.db.session.commit()
        assert site.db.session.scalars(sa.select(site.User.name)).all() == ["other"]
        site.db.engine.dispose()
    assert site.names() == ["ada"]
    assert site.db.settings_of(other).binds == {}


def test_an_extension_never_uses_the_session_of_another(site):
    other = SQLAlchemy()
    with site.app.app_context():
        site.db.session.execute(sa.select(1))
        with pytest.raises(NotInitialised, match="another SQLAlchemy object"):
            other.session()


def test_the_isolation_of_one_app_leaves_the_other_alone(make_site):
    one, two = make_site(), make_site()
    with isolation(one.app), two.app.app_context():
        two.db.session.add(two.User(name="kept"))
        two.db.session.commit()
    assert (one.names(), two.names()) == ([], ["kept"])

"""Encrypted texts and hashes of passwords."""

from __future__ import annotations

import asyncio
import typing as t

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from sqlalchemy import orm
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from werkzeug.security import generate_password_hash

from flaskware_core import ConfigError
from flaskware_core import examine
from flaskware_core.testing import make_app
from flaskware_sqlalchemy import EncryptedText
from flaskware_sqlalchemy import HashedPassword
from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy import PasswordHash
from flaskware_sqlalchemy import SecretRefused
from flaskware_sqlalchemy import SQLAlchemy


class Base(Model, orm.DeclarativeBase):
    pass


class Account(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str | None] = mapped_column(EncryptedText)
    password: Mapped[HashedPassword | None] = mapped_column(PasswordHash)


class Note(Base):
    first: Mapped[int] = mapped_column(primary_key=True)
    second: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column("the_title", EncryptedText)
    body: Mapped[str | None] = mapped_column(EncryptedText)


OLD, NEW, OTHER = (Fernet.generate_key().decode() for _ in range(3))


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def make(request, tmp_path):
    """Make the extension of an app with these keys, on one database."""
    url = "sqlite:///app.db"
    if request.param != "sqlite":
        url = request.getfixturevalue(f"{request.param}_url")

    def make(*keys):
        db = SQLAlchemy(model_class=Base)
        app = make_app(
            db,
            instance_path=tmp_path,
            SQLALCHEMY_DATABASE_URI=url,
            SQLALCHEMY_ENCRYPTION_KEYS=keys,
        )
        with app.app_context():
            db.create_all()
        return t.cast("t.Any", db), app

    return make


def stored(session):
    return session.scalars(sa.text("SELECT token FROM account ORDER BY id")).all()


def test_the_database_never_sees_a_text(make):
    db, app = make(NEW)

    @settings(
        max_examples=15,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.none() | st.text(max_size=300))
    def check(text):
        with db.session_scope(app) as session:
            session.add_all([Account(id=1, token=text), Account(id=2, token=text)])
            session.commit()
            first, second = stored(session)
            if text is None:
                assert (first, second) == (None, None)
            else:
                assert first != second
                assert Fernet(NEW).decrypt(first).decode() == text
            session.expunge_all()
            assert session.get_one(Account, 1).token == text
            assert session.scalars(sa.select(Account.token)).all() == [text, text]
            session.execute(sa.delete(Account))
            session.commit()

    check()


def test_keys_are_rotated(make):
    db, app = make(OLD)
    with db.session_scope(app) as session:
        for number in range(700):
            text = None if number % 7 == 0 else str(number)
            session.add(
                Note(first=number // 9, second=number % 9, title="t", body=text)
            )
        session.commit()
    db, app = make(NEW, OLD)
    with db.session_scope(app) as session:
        session.add(Note(first=900, second=0, title="new", body="new"))
        session.commit()
    assert db.reencrypt(Note, app) == 1300
    assert db.reencrypt(Note, app) == 0
    db, app = make(NEW)
    with db.session_scope(app) as session:
        notes = session.scalars(sa.select(Note)).all()
        assert sum(note.body is None for note in notes) == 100
        assert {note.title for note in notes} == {"t", "new"}
        session.add(Account(id=1, token="secret"))
        session.commit()
    db, app = make(OTHER)
    with (
        db.session_scope(app) as session,
        pytest.raises(ValueError, match="none of the keys"),
    ):
        session.get(Account, 1)


def test_an_encrypted_column_is_not_compared(make):
    db, app = make(NEW)
    with db.session_scope(app) as session:
        session.add_all([Account(id=1, token=None), Account(id=2, token="x")])
        session.flush()
        no_token = sa.select(Account.id).where(Account.token.is_(None))
        assert session.scalars(no_token).all() == [1]
        some = sa.select(Account.id).where(Account.token.is_not(None))
        assert session.scalars(some).all() == [2]
    for compare in (
        lambda column: column == "x",
        lambda column: column.in_(["x"]),
        lambda column: column.like("x%"),
        lambda column: column.desc(),
        lambda column: column + "x",
    ):
        with pytest.raises(TypeError, match="keyed hash"):
            compare(Account.token)


def test_the_keys_are_told_where_they_are_missing_or_wrong(make):
    db, app = make()
    found = [finding.id for finding in examine(app).findings]
    assert "sqlalchemy.encryption-keys" in found
    with db.session_scope(app) as session:
        session.add(Account(token="s3cret"))
        with pytest.raises(Exception, match="SQLALCHEMY_ENCRYPTION_KEYS"):
            session.commit()
    with pytest.raises(ConfigError) as info:
        make(NEW, "s3cret-key")
    assert "SQLALCHEMY_ENCRYPTION_KEYS[1]" in str(info.value)
    assert "s3cret-key" not in str(info.value)
    found = [finding.id for finding in examine(make(NEW)[1]).findings]
    assert "sqlalchemy.encryption-keys" not in found


def test_a_password_is_stored_as_a_hash_and_never_as_itself(make):
    db, app = make(NEW)
    with db.session_scope(app) as session:
        account = Account(id=1, password=HashedPassword.of("correct horse"))
        session.add(account)
        session.commit()
        assert account.password.verify("correct horse")
        assert not account.password.verify("wrong horse")
        assert not account.password.is_outdated
        assert account.password.text.startswith("$argon2id$")
        assert "argon2" not in repr(account.password)
        same = HashedPassword(account.password.text)
        assert account.password == same
        assert hash(account.password) == hash(same)
        assert HashedPassword.of("correct horse") != same
        account.password = "s3cret"
        with pytest.raises(SecretRefused, match=r"HashedPassword\.of") as info:
            session.commit()
        assert "s3cret" not in str(info.value)
        session.rollback()
        account.token = 7
        with pytest.raises(SecretRefused, match="not int"):
            session.commit()
        session.rollback()
        session.add(Account(id=2, password=None))
        session.commit()
        session.expunge_all()
        assert session.get_one(Account, 2).password is None
    assert HashedPassword.verify_nobody("nobody") is False


def test_hashes_of_werkzeug_are_verified_and_outdated():
    for method in ("scrypt", "pbkdf2"):
        old = HashedPassword(generate_password_hash("correct horse", method))
        assert (old.verify("correct horse"), old.verify("x")) == (True, False)
        assert old.is_outdated
    weak = "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHQ$"
    assert HashedPassword(weak + "qqSCqQPLbO7RKU+qFwvGng").is_outdated
    with pytest.raises(ValueError, match=r"HashedPassword\.of"):
        HashedPassword("correct horse")


def test_coroutines_have_the_same_keys(make, tmp_path):
    db, app = make(NEW)

    async def main():
        async with db.async_session_scope(app) as session:
            session.add(Account(id=1, token="x"))
            await session.commit()
            return (await session.scalars(sa.select(Account.token))).all()

    assert asyncio.run(main()) == ["x"]

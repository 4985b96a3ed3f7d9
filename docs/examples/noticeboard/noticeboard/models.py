"""Users, notices and events."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.orm import Mapped
from sqlalchemy.orm import mapped_column
from sqlalchemy.orm import relationship

from flaskware_sqlalchemy import Model


class Base(Model, DeclarativeBase):
    pass


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(tzinfo=None, microsecond=0)


class User(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(40))
    email: Mapped[str] = mapped_column(sa.String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(sa.String(200))

    notices: Mapped[list[Notice]] = relationship(back_populates="author")


class NoticeTag(Base):
    notice_id: Mapped[int] = mapped_column(
        sa.ForeignKey("notice.id", ondelete="CASCADE"), primary_key=True
    )
    tag_id: Mapped[int] = mapped_column(sa.ForeignKey("tag.id"), primary_key=True)


class Tag(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(sa.String(24), unique=True)


class Picture(Base):
    notice_id: Mapped[int] = mapped_column(
        sa.ForeignKey("notice.id", ondelete="CASCADE"), primary_key=True
    )
    content_type: Mapped[str] = mapped_column(sa.String(40))
    # Loaded only to send the picture itself, not with every list of notices.
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)


class Notice(Base):
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(sa.String(80))
    body: Mapped[str] = mapped_column(sa.Text)
    created_at: Mapped[dt.datetime] = mapped_column(default=now, index=True)
    author_id: Mapped[int] = mapped_column(sa.ForeignKey("user.id"), index=True)

    author: Mapped[User] = relationship(back_populates="notices", lazy="joined")
    tags: Mapped[list[Tag]] = relationship(
        secondary="notice_tag", order_by=Tag.name, lazy="selectin"
    )
    picture: Mapped[Picture | None] = relationship(lazy="selectin")


class Event(Base):
    """Something that happened, kept in a database of its own."""

    __bind_key__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(default=now)
    user_id: Mapped[int | None]
    what: Mapped[str] = mapped_column(sa.String(80))

"""The notices: reading, searching and writing them."""

from __future__ import annotations

import typing as t

import flask
from annotated_types import Len
from flask.typing import ResponseReturnValue
from pydantic import AfterValidator
from pydantic import BaseModel
from pydantic import StringConstraints
from sqlalchemy import or_
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from flaskware_forms import Bound
from flaskware_forms import FormSpec
from flaskware_forms import Image
from flaskware_forms import Ui
from flaskware_forms import Upload

from .accounts import current_user
from .accounts import signed_in
from .extensions import db
from .models import Notice
from .models import Picture
from .models import Tag

bp = flask.Blueprint("board", __name__)

NOTICES_PER_PAGE = 6

TagName = t.Annotated[
    str,
    # Before the length is checked: lower case can have more characters.
    AfterValidator(str.lower),
    StringConstraints(max_length=24, pattern=r"^[\w-]+$"),
]


class NoticeIn(BaseModel):
    title: t.Annotated[str, Len(3, 80), Ui(label="Title")]
    body: t.Annotated[str, Len(1, 4000), Ui(label="Text", widget="textarea", rows=6)]
    tags: t.Annotated[
        list[TagName],
        Len(0, 5),
        Ui(label="Tags", hint="Up to five, a word each.", rows=5),
    ] = []
    picture: t.Annotated[
        t.Annotated[Upload, Image("png", "jpeg", max_bytes=2 << 20)] | None,
        Ui(label="Picture", hint="PNG or JPEG, up to 2 MB."),
    ] = None


notice_form = FormSpec(NoticeIn, name="notice")


@bp.get("/")
def index() -> ResponseReturnValue:
    # PostgreSQL refuses U+0000 in any text, even in a comparison.
    words = flask.request.args.get("q", "").replace("\0", "").strip()[:100]
    tag = flask.request.args.get("tag", "").replace("\0", "")
    found = select(Notice).order_by(Notice.created_at.desc(), Notice.id.desc())
    if words:
        contains = (
            column.icontains(words, autoescape=True)
            for column in (Notice.title, Notice.body)
        )
        found = found.where(or_(*contains))
    if tag:
        found = found.where(Notice.tags.any(Tag.name == tag))
    page = db.paginate(found, per_page=NOTICES_PER_PAGE)
    return flask.render_template("board/index.html", page=page, words=words, tag=tag)


@bp.get("/notices/<int:id>")
def show(id: int) -> ResponseReturnValue:
    return flask.render_template("board/show.html", notice=db.get_or_404(Notice, id))


@bp.route("/notices/new", methods=["GET", "POST"])
@signed_in
@notice_form.handles
def write(form: Bound[NoticeIn]) -> ResponseReturnValue:
    if data := form.submit():
        author = current_user()
        assert author is not None
        picture = None
        if data.picture:
            picture = Picture(
                content_type=data.picture.content_type, data=data.picture.read()
            )
        id = post(data, author.id, picture)
        return form.done(flask.url_for("board.show", id=id))
    return form.respond("board/write.html")


@bp.get("/notices/<int:id>/picture")
def picture(id: int) -> ResponseReturnValue:
    found = db.get_or_404(Picture, id)
    response = flask.Response(found.data, content_type=found.content_type)
    response.cache_control.max_age = 3600
    return response


@db.transaction(retries=3)
def post(data: NoticeIn, author_id: int, picture: Picture | None) -> int:
    """Add a notice and return its id."""
    notice = Notice(
        title=data.title, body=data.body, author_id=author_id, tags=tags(data.tags)
    )
    notice.picture = picture
    db.session.add(notice)
    db.session.flush()
    return notice.id


def tags(names: list[str]) -> list[Tag]:
    """Return the tags with these names; create those that do not exist yet."""
    # Always in the same order, or two requests that create the same tags deadlock.
    return [_tag(name) for name in sorted(set(names))]


def _tag(name: str) -> Tag:
    named = select(Tag).where(Tag.name == name)
    if known := db.session.scalar(named):
        return known
    try:
        with db.transaction() as session:  # a savepoint of the transaction around it
            session.add(made := Tag(name=name))
    except IntegrityError:  # another request has just made it
        return db.session.scalars(named).one()
    return made

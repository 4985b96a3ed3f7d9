"""A few people and notices to look at."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import func
from sqlalchemy import select
from werkzeug.security import generate_password_hash

from .board import tags
from .extensions import db
from .models import Notice
from .models import now
from .models import User

PASSWORD = "correct horse battery"
PEOPLE = (
    ("Ada", "ada@example.org"),
    ("Ben", "ben@example.org"),
    ("Cleo", "cleo@example.org"),
)
NOTICES = (
    ("Bicycle to give away", "A blue touring bicycle, new tyres. It wants to be ridden.", ["free", "bicycle"]),
    ("Choir needs two altos", "We meet on Tuesdays at seven in the old school. No audition.", ["music"]),
    ("Lost: a grey cat", "Answers to Mungo, when it suits him. Last seen near the mill.", ["lost", "cat"]),
    ("Repair café on Saturday", "Bring what is broken. Tools, coffee and patience are there.", ["free", "repair"]),
    ("Spanish for beginners", "Eight evenings, small group. The first evening is free.", ["course"]),
    ("Room to let", "Bright, quiet, near the station. From the first of the month.", ["room"]),
    ("Found: one red mitten", "On the bench by the pond. The other is missing.", ["found"]),
    ("Chess in the park", "Every Sunday from three. Boards and clocks are there.", ["games"]),
    ("Apples, as many as you can carry", "The trees are full. Come with a basket.", ["free", "garden"]),
    ("Piano lessons", "For children and for those who always wanted to.", ["music", "course"]),
    ("Street closed on Friday", "The water pipe is being renewed between six and noon.", ["news"]),
    ("Book swap", "Take one, leave one: the shelf in the library's entrance.", ["free", "books"]),
    ("Night walk to see the stars", "If the sky is clear. We start at nine at the tower.", ["walk"]),
    ("Sewing machine wanted", "It may be old. I would fix it.", ["wanted", "repair"]),
)  # fmt: skip


def seed() -> int:
    """Fill an empty board and return the number of notices written."""
    if db.session.scalar(select(func.count()).select_from(Notice)):
        return 0
    people = [
        User(name=name, email=email, password_hash=generate_password_hash(PASSWORD))
        for name, email in PEOPLE
    ]
    with db.transaction() as session:
        session.add_all(people)
        session.add_all(
            Notice(
                title=title,
                body=body,
                author=people[index % len(people)],
                tags=tags(names),
                created_at=now() - dt.timedelta(hours=7 * index + 1),
            )
            for index, (title, body, names) in enumerate(NOTICES)
        )
    return len(NOTICES)

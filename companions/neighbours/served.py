"""The app that each server serves, in the folder that the environment names."""

from __future__ import annotations

import asyncio
import os

import family
import flask
import sqlalchemy as sa

app, extensions = family.create_app(
    os.environ["NEIGHBOUR_FOLDER"],
    SQLALCHEMY_ENGINE_OPTIONS={"connect_args": {"timeout": 120}},
    SESSION_STORE_TIMEOUT=20,
    SESSION_BUDGET=60,
)
db = extensions.db


@app.post("/add/<name>")
def add(name):
    flask.session.increment("added")
    with db.transaction() as session:
        session.add(family.User(name=name))
    return {"pid": os.getpid()}


@app.get("/added")
def added():
    return {"added": flask.session.get("added"), "user": extensions.sessions.user_id}


@app.get("/stream")
def stream():
    def rows():
        for name in db.session.scalars(sa.select(family.User.name)):
            yield f"{name}\n"

    return flask.Response(flask.stream_with_context(rows()), mimetype="text/plain")


@app.get("/async")
async def count():
    await asyncio.sleep(0)
    statement = sa.select(sa.func.count(family.User.id))
    return {"count": db.session.scalar(statement)}

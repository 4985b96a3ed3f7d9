from flask import current_app


def get_recorded_queries() -> list[object]:
    return current_app.extensions["sqlalchemy"].recorded_queries

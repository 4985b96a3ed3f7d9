from flask import current_app


def add_models_to_shell() -> dict[str, object]:
    return current_app.make_shell_context()

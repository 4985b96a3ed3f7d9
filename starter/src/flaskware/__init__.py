"""The start of an app with the Flaskware extensions: ``flaskware new``."""

"""Tools that maintain the Flaskware repository."""

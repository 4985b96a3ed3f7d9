"""What maintains the Flaskware repository."""

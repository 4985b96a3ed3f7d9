from flaskware_sqlalchemy._sessions.session import RoutedSession as Session

__all__ = ["Session"]

from flaskware_sqlalchemy._models.legacy_query import LegacyQuery as Query

__all__ = ["Query"]

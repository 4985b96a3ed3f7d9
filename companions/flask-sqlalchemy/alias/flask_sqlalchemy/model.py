from sqlalchemy.orm import DeclarativeMeta as DefaultMeta

from flaskware_sqlalchemy import Model
from flaskware_sqlalchemy._models.model import snake_case as camel_to_snake_case

__all__ = ["DefaultMeta", "Model", "camel_to_snake_case"]

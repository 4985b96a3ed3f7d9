"""The five extensions, made once and initialised by `create_app`."""

from __future__ import annotations

from flaskware_alembic import Alembic
from flaskware_forms import Forms
from flaskware_secure import SecureHeaders
from flaskware_session import Sessions
from flaskware_sqlalchemy import SQLAlchemy

from .models import Base

db = SQLAlchemy(model_class=Base)
alembic = Alembic(db)
forms = Forms()
secure = SecureHeaders()
sessions = Sessions()

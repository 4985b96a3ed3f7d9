<%
    follows = [down_revision] if isinstance(down_revision, str) else down_revision
    quoted = lambda value: '"%s"' % value if isinstance(value, str) else (
        "(%s,)" % ", ".join('"%s"' % item for item in value) if value else "None"
    )
    code = "%s\n%s" % (upgrades or "", downgrades or "")
%>\
"""${message}

Revision: ${up_revision}
Follows: ${", ".join(follows) if follows else "nothing, it is the first"}
Created: ${create_date.strftime("%Y-%m-%d %H:%M")}
"""

from __future__ import annotations
% if "sa." in code or manual:

import sqlalchemy as sa
% elif "op." in code:

% endif
% if "op." in code or manual:
from alembic import op
% endif
% if imports:
${imports}
% endif

revision = ${quoted(up_revision)}
down_revision = ${quoted(down_revision)}
branch_labels = ${quoted(branch_labels)}
depends_on = ${quoted(depends_on)}


def upgrade() -> None:
    ${upgrades or "pass"}


def downgrade() -> None:
    ${downgrades or "pass"}

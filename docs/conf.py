"""The documentation of the family: `nox -s docs`."""

from __future__ import annotations

import concurrent.futures
import shutil
import sys
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(ROOT / "tools" / "src")]

from flaskware_tools.matrix import packages  # noqa: E402

# Sphinx reads one folder; each package keeps its own pages.
for _package in packages().values():
    _target = HERE / "packages" / _package.name
    shutil.rmtree(_target, ignore_errors=True)
    shutil.copytree(_package.folder / "docs", _target)

project = "Flaskware"
author = "the Flaskware authors"
copyright = "2026 the Flaskware authors"  # noqa: A001
extensions = [
    "myst_parser",
    "pallets_sphinx_themes",
    "changes_directive",
    "errors_directive",
    "settings_directive",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
]
html_theme = "flask"
html_title = "Flaskware"
html_static_path = ["_static"]
html_css_files = ["site.css"]
# The pages beside this one, so that a how-to page is not an island.
templates_path = ["_templates"]
html_sidebars = {"**": ["searchbox.html", "localtoc.html", "contents.html"]}
exclude_patterns = ["_build", "_ext", "_templates", "examples"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
_OTHERS = (
    r"_pytest|alembic|click|collections|contextlib|datetime|flask|itsdangerous|os"
    r"|markupsafe|pathlib|pickle|pydantic|re|secure|sqlalchemy|time|typing|werkzeug"
    r"|cabc|dt|orm|sa|t"
)
# Every reference to a name of ours has to lead somewhere.
nitpicky = True
nitpick_ignore_regex = [
    # Other projects: their names become links where the network is there.
    (r"py:.*", rf"({_OTHERS})\..*"),
    # Annotations: aliases and type variables, and what lies in private modules.
    (r"py:(class|obj|data)", r"[^.]*|\*.*"),
    (r"py:exc", r"HTTPException|NotFound"),
    (r"py:class", r"flaskware_\w+\._.*"),
]


def _reached(item: tuple[str, str]) -> bool:
    try:
        url = f"{item[1]}objects.inv"
        with urllib.request.urlopen(url, timeout=5):  # noqa: S310
            return True
    except OSError:
        return False


_SITES = {
    "python": "https://docs.python.org/3/",
    "flask": "https://flask.palletsprojects.com/en/stable/",
    "werkzeug": "https://werkzeug.palletsprojects.com/en/stable/",
    "click": "https://click.palletsprojects.com/en/stable/",
    "quart": "https://quart.palletsprojects.com/en/latest/",
    "sqlalchemy": "https://docs.sqlalchemy.org/en/21/",
    "alembic": "https://alembic.sqlalchemy.org/en/latest/",
    "pydantic": "https://docs.pydantic.dev/latest/",
}
# A site that does not answer costs its links, and not the build.
with concurrent.futures.ThreadPoolExecutor() as _pool:
    _answers = list(_pool.map(_reached, _SITES.items()))
intersphinx_mapping = {
    name: (url, None)
    for (name, url), is_there in zip(_SITES.items(), _answers, strict=True)
    if is_there
}

"""The documentation of the family: `nox -s docs`."""

from __future__ import annotations

import shutil
import sys
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
    "settings_directive",
    "sphinx.ext.autodoc",
]
html_theme = "flask"
html_title = "Flaskware"
exclude_patterns = ["_build", "_ext", "examples"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
nitpicky = False

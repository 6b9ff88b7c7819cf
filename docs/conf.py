"""Sphinx configuration."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import reference  # noqa: E402

project = "jaxdl"
author = "the jaxdl developers"
copyright = "2026, the jaxdl developers"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["deflist", "dollarmath", "colon_fence", "attrs_inline"]
nb_execution_mode = "off"
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"show-inheritance": False}
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_title = "jaxdl"
html_static_path = ["_static"]

reference.write(DOCS / "generated")

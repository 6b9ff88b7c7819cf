"""Sphinx configuration."""

project = "jaxdl"
author = "the jaxdl developers"
copyright = "2026, the jaxdl developers"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "attrs_inline"]
nb_execution_mode = "off"
autosummary_generate = True
autosummary_imported_members = False
autosummary_ignore_module_all = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"members": True, "show-inheritance": False}
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
templates_path = ["_templates"]
exclude_patterns = ["_build"]
html_theme = "sphinx_book_theme"
html_title = "jaxdl"
html_static_path = ["_static"]

"""Sphinx configuration."""

import os
import re
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import reference  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402

from docs import gallery_pages, notebooks  # noqa: E402
from jaxdl import __version__  # noqa: E402

project = "jaxdl"
author = "The jaxdl authors"
copyright = "2026, the jaxdl authors"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_design",
]
myst_enable_extensions = [
    "amsmath",
    "deflist",
    "dollarmath",
    "colon_fence",
    "attrs_inline",
    "attrs_block",
    "substitution",
]
myst_heading_anchors = 3
# Notebooks run again only if their code changes; what they compile is kept beside the programs of the experiments.
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "jaxdl"
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "docs"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(DOCS.parent), os.environ.get("PYTHONPATH")]))
nb_execution_mode = "cache"
nb_execution_excludepatterns = ["howto/*"]  # CI runs them, in one process: python -m docs.run_pages
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
autodoc_default_options = {"show-inheritance": False}
autodoc_inherit_docstrings = False
napoleon_numpy_docstring = False
napoleon_use_ivar = True
exclude_patterns = ["_build", "jupyter_execute", "downloads"]
html_theme = "sphinx_book_theme"
html_title = "jaxdl"
html_static_path = ["_static"]
html_css_files = ["jaxdl.css"]
templates_path = ["_templates"]

reference.write(DOCS / "generated")
gallery_pages.write()
myst_substitutions = gallery_pages.substitutions()
notebooks.write(myst_substitutions)


def setup(app: Sphinx) -> None:
    """Connect what is here to the build."""
    app.connect("html-page-context", name_toggles, priority=900)  # after the theme


def name_toggles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: object) -> None:
    """Give the toggles of the sidebar and of hidden cells the names that readers see."""
    if "body" in context:
        context["body"] = context["body"].replace('<summary aria-label="Toggle hidden content">', "<summary>")
    sidebar = context["generate_toctree_html"]
    summary = re.compile(r"(>([^<]*)</a>\s*<details[^>]*>\s*<summary)>")
    context["generate_toctree_html"] = lambda *args, **kwargs: summary.sub(
        r'\1 aria-label="Pages of: \2">', str(sidebar(*args, **kwargs))
    )

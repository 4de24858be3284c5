"""How the documentation is built: `make docs`."""

from importlib.metadata import version as _version
from types import GenericAlias

project = "physio-affect"
author = "The physio-affect maintainers"
release = _version("physio-affect")

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["results"]
templates_path = ["_templates"]
myst_heading_anchors = 3
# Pages link to files of the repository that are not pages, as they do on a forge.
# That these exist is tested in tests/docs/test_pages.py.
suppress_warnings = ["myst.xref_missing", "myst.header"]

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "physio-affect"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False


def skip(app, what, name, obj, skipped, options):
    """Leave out names of ``tuple[X, ...]``: autodoc takes them for classes."""
    del app, what, name, options
    return True if isinstance(obj, GenericAlias) else skipped


def setup(app):
    """Have Sphinx ask `skip` about each member."""
    app.connect("autodoc-skip-member", skip)

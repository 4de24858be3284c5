"""Sphinx configuration of the documentation: `make docs`."""

import os
import sys
from importlib.metadata import version as _version
from pathlib import Path
from types import GenericAlias

sys.path.insert(0, str(Path(__file__).parent))
os.environ |= {"PHYSIO_QUICK": "1", "MPLBACKEND": "Agg"}  # notebooks and gallery
paths = (str(Path(__file__).parents[1] / "tests"), os.environ.get("PYTHONPATH", ""))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # miniatures
os.environ.pop("PHYSIO_DATA", None)  # pictures of simulated data, which all can make

project = "physio-affect"
author = "The physio-affect maintainers"
release = _version("physio-affect")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb", ".ipynb": "myst-nb"}
exclude_patterns = ["results", "gallery", "auto_gallery/*.ipynb", "auto_gallery/*.md5"]
templates_path = ["_templates"]
myst_heading_anchors = 3
# Pages link to files of the repository that are not pages.
# tests/docs/test_pages.py tests that these exist.
suppress_warnings = ["myst.xref_missing", "myst.header"]

# The notebooks have stored outputs: docs/store_outputs.py runs them.
nb_execution_mode = "off"
nb_merge_streams = True
# Outputs of Panel need a running kernel; a page shows the other outputs.
suppress_warnings += ["mystnb.unknown_mime_type"]

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": "plot_",
    "image_scrapers": ("drawing.scraped",),
    "download_all_examples": False,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 10,
    "plot_gallery": "True",
}

autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "physio-affect"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False


def skip(app, kind, name, obj, skipped, options):
    """Omit names of ``tuple[X, ...]``: autodoc takes them for classes."""
    del app, kind, name, options
    return True if isinstance(obj, GenericAlias) else skipped


def setup(app):
    """Connect the generation of pages, and `skip` for members of modules."""
    import pages

    app.connect("builder-inited", pages.bring)
    app.connect("autodoc-skip-member", skip)

"""How the documentation is built: `make docs`."""

import os
import sys
from importlib.metadata import version as _version
from pathlib import Path
from types import GenericAlias

sys.path.insert(0, str(Path(__file__).parent))
os.environ |= {"PHYSIO_QUICK": "1", "MPLBACKEND": "Agg"}  # notebooks and gallery
paths = (str(Path(__file__).parents[1] / "tests"), os.environ.get("PYTHONPATH", ""))
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # miniatures
os.environ.pop(
    "PHYSIO_DATA", None
)  # simulated participants, whose pictures anybody can make

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
# Pages link to files of the repository that are not pages, as they do on a forge.
# That these exist is tested in tests/docs/test_pages.py.
suppress_warnings = ["myst.xref_missing", "myst.header"]

# Notebooks run as their tests run them, once: what has not changed is kept.
nb_execution_mode = "cache"
nb_execution_cache_path = str(Path(__file__).parents[1] / "build" / "notebooks")
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_merge_streams = True
# Panel's own outputs need a kernel behind them; a page shows what else there is.
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


def skip(app, what, name, obj, skipped, options):
    """Leave out names of ``tuple[X, ...]``: autodoc takes them for classes."""
    del app, what, name, options
    return True if isinstance(obj, GenericAlias) else skipped


def setup(app):
    """Bring notebooks and help texts here, and have Sphinx ask `skip` of members."""
    import pages

    app.connect("builder-inited", pages.bring)
    app.connect("autodoc-skip-member", skip)

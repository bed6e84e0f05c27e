project = "flipback"
author = "flipback contributors"
copyright = author
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "furo"
exclude_patterns = ["_build", "changelog.d"]
napoleon_use_ivar = True
myst_heading_anchors = 3
autodoc_typehints = "description"
nitpick_ignore_regex = [
    ("py:.*", ".*")
]  # types of other projects have no inventory here

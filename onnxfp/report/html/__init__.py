"""Reports as self-contained HTML pages: one file, no network, no script.

Only the modules of this package import jinja2 and matplotlib.
"""

"""Reports as self-contained HTML pages: one file, no network, no script, for the screen, the phone and the printer.

What needs jinja2 and matplotlib is imported by whoever writes a page, and by nobody else.
"""

"""The page around a report: template, stylesheet, and what the browser may do with them (nothing but show).

Names come from the models' authors. The template engine escapes them for HTML, and
:func:`onnxfp.text.escape_text` for the eye before that. Should either ever fail, the page's own policy
still forbids every script, every request and every style but the one stylesheet, which it names by digest.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from onnxfp._version import __version__
from onnxfp.evidence.verdict import Verdict
from onnxfp.report.facts import Style
from onnxfp.report.html.formatting import chance, percent, scientific
from onnxfp.text import escape_text

TONES = {Verdict.MATCH: "match", Verdict.NO_MATCH: "no-match", Verdict.INCONCLUSIVE: "inconclusive"}
"""Class of the stylesheet for each verdict."""


STYLE = Style(scientific, "−", "×")
"""How a page writes numbers."""


def render(template: str, **content: Any) -> str:
    """Return a page.

    Args:
        template: Name of a template of this package.
        content: Values for it; text that is no ``Markup`` is escaped.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(chance=chance, percent=percent, scientific=scientific)
    stylesheet = _read("page.css").strip()
    page: str = environment.get_template(template).render(
        **content,
        release=__version__,
        stylesheet=Markup(stylesheet),  # noqa: S704 - this package's own
        policy=_policy(stylesheet),
    )
    return page


def _policy(stylesheet: str) -> str:
    digest = base64.b64encode(hashlib.sha256(stylesheet.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"


def _read(name: str) -> str:
    return files("onnxfp.report.html").joinpath("templates", name).read_text(encoding="utf-8")


def _visible(value: Any) -> Any:
    return escape_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value

"""Optional dependencies: which packages each extra brings, and the error where one is missing."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

from onnxfp.errors import MissingExtraError

Extra = Literal["generate", "report"]

EXTRAS: dict[Extra, tuple[str, ...]] = {"generate": ("torch",), "report": ("jinja2", "matplotlib")}
"""Packages of each extra, by the name of their import; pyproject.toml has their versions."""


def require_extra(extra: Extra) -> None:
    """Make sure that the packages of an extra are installed, without importing them.

    Args:
        extra: ``generate`` for gradients and training, ``report`` for HTML pages.

    Raises:
        MissingExtraError: One is not installed.
    """
    missing = [package for package in EXTRAS[extra] if not _is_installed(package)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingExtraError(f"{' and '.join(missing)} {verb} not installed", hint=f'pip install "onnxfp[{extra}]"')


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False

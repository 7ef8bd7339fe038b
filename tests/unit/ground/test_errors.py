"""A codec's error becomes the one of the document, and of the file, that it was about."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnxfp.errors import (
    BundleFormatError,
    CodecError,
    OnnxfpError,
    ReportFormatError,
    TrustError,
    name_file,
    translate_codec,
)


def test_the_owner_of_a_document_names_the_codecs_error() -> None:
    with pytest.raises(ReportFormatError, match=r"^it is bent$") as raised, translate_codec(ReportFormatError, "h"):
        raise CodecError("it is bent")
    assert raised.value.hint == "h"
    assert isinstance(raised.value.__cause__, CodecError)


@pytest.mark.parametrize("error", [ValueError("x"), TrustError("x"), OSError("x")])
def test_other_errors_are_not_the_codecs(error: Exception) -> None:
    with pytest.raises(type(error), match=r"^x$") as raised, translate_codec(ReportFormatError, "h"):
        raise error
    assert raised.value is error


def test_nobody_takes_the_codecs_error_for_one_to_be_shown() -> None:
    assert not issubclass(CodecError, OnnxfpError)


def test_a_file_is_named_in_errors_about_its_content() -> None:
    with (
        pytest.raises(BundleFormatError, match=r"^a/b: it is bent$") as raised,
        name_file(Path("a/b"), BundleFormatError, TrustError),
    ):
        raise BundleFormatError("it is bent", hint="h")
    assert raised.value.hint == "h"
    with pytest.raises(ReportFormatError, match=r"^it is bent$"), name_file("a", BundleFormatError):
        raise ReportFormatError("it is bent")

"""A suspect that somebody else asked: a service, an app, a model of another framework.

The responses are a CSV file with the columns ``example`` and ``label``, a row for each example, as
:func:`~onnxfp.suspects.export.export_examples` prepares it; or what a Python function answers. Either way onnxfp
did not see the suspect: that these are its responses is the word of whoever recorded them.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

from onnxfp.errors import ParameterError, ResponsesError, SuspectError, name_file
from onnxfp.files import read_bounded
from onnxfp.runtime.session import Answers
from onnxfp.suspects.export import present_examples
from onnxfp.types import Levels

if TYPE_CHECKING:
    from onnxfp.bundle.fingerprint import Fingerprint

Function = Callable[[NDArray[Any]], ArrayLike]
"""Takes examples as :func:`~onnxfp.suspects.export.present_examples` gives them; returns ``(n,)`` class indices,
or ``(n, n_classes)`` scores."""

MAX_FILE_BYTES = 16 * 2**20
"""Largest file of responses, or of names of classes, that is read."""

_COLUMNS = ("example", "label")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Responses:
    """What a suspect was recorded to answer.

    Attributes:
        answers: The answers, in the order of the examples. -1 stands for none; a class that the base does not have is
            any number from its number of classes on.
        digest: ``sha256:<hex>`` of the file, or of the file that would record a function's labels.
    """

    answers: Answers
    digest: str


def is_model_file(suspect: str | Path | Function) -> TypeGuard[str | Path]:
    """Return whether a suspect is a file to be run, and neither a function nor, by its name, a file of responses."""
    return not callable(suspect) and Path(suspect).suffix.lower() != ".csv"


def collect_responses(
    suspect: str | Path | Function, fingerprint: Fingerprint, class_names: str | Path | Sequence[str] | None = None
) -> Responses:
    """Return what a suspect was recorded to answer, or what a function answers now.

    Args:
        suspect: A file as of :func:`read_responses`, or a function.
        fingerprint: What it was, or is, asked.
        class_names: The base's classes in their order, or a text file with one a line; ``None`` where responses are
            class indices.

    Raises:
        ParameterError: A function's answers have no names.
        OnnxfpError: As :func:`read_responses`, :func:`read_class_names` and :func:`ask_function`.
    """
    if callable(suspect):
        if class_names is not None:
            raise ParameterError("names of classes belong to a file of responses", hint=_NAMES_HINT)
        return ask_function(suspect, fingerprint)
    n_classes = fingerprint.manifest.base.n_classes
    if isinstance(class_names, str | Path):
        class_names = read_class_names(class_names, n_classes)
    elif class_names is not None:
        class_names = check_class_names(class_names, n_classes)
    return read_responses(suspect, fingerprint.n_examples, class_names or n_classes)


def read_responses(path: str | Path, n_examples: int, classes: Sequence[str] | int) -> Responses:
    """Read a file of responses.

    Args:
        path: CSV, UTF-8, with a header; other columns than ``example`` and ``label`` are ignored. An example is called
            by its number from 1, as in ``0001.png``; a label is a class index from 0, or a name; empty where the
            suspect did not answer.
        n_examples: Number of examples that were exported.
        classes: The base's classes in their order, where labels are names; else how many there are. A label that is
            none of them is a class that the base does not have, and a warning says so.

    Raises:
        FileError: The file cannot be read.
        ResponsesError: It is no such table, an example is missing or stands twice, or a label is no class, the line is
            named; or not one label is a class of the base.
    """
    hint = "give the path of a .csv file, as `onnxfp export` prepares it"
    content = read_bounded(Path(path), MAX_FILE_BYTES, hint=hint, too_large=ResponsesError)
    labels = np.full(n_examples, -1, np.int64)
    seen = np.zeros(n_examples, bool)
    n_classes, foreign = classes if isinstance(classes, int) else len(classes), list[str]()
    try:
        for line, example, label in _rows(content):
            number = _number(Path(example).stem)
            if not 1 <= number <= n_examples:
                raise ResponsesError(f"line {line}: there is no example {example[:100]!r} of {n_examples}", hint=_HINT)
            if seen[number - 1]:
                raise ResponsesError(f"line {line}: example {example[:100]!r} stands twice", hint=_HINT)
            seen[number - 1] = True
            labels[number - 1] = _index(label, classes, line)
            if labels[number - 1] >= n_classes:
                foreign.append(label)
    except (csv.Error, UnicodeDecodeError) as error:
        raise ResponsesError(f"{path}: it is no table of responses: {error}", hint=_HINT) from error
    except ResponsesError as error:
        raise ResponsesError(f"{path}: {error}", hint=error.hint) from error
    missing = np.flatnonzero(~seen)
    if len(missing):
        raise ResponsesError(
            f"{path}: {len(missing)} of {n_examples} examples have no row, the first is number {missing[0] + 1}",
            hint="leave the label empty where the suspect did not answer, and the row where it is",
        )
    if foreign:
        _check_foreign(path, foreign, int((labels >= 0).sum()), classes)
    return Responses(Answers(labels, None), f"sha256:{hashlib.sha256(content).hexdigest()}")


def _check_foreign(path: str | Path, foreign: Sequence[str], n_answered: int, classes: Sequence[str] | int) -> None:
    """Say that labels are no classes of the base; where none is one, they are spelled in another way, and refused."""
    first = foreign[0][:100]
    said = f"{path}: {len(foreign)} of {n_answered} labels are no class of the base, the first is {first!r}"
    if len(foreign) < n_answered:
        _log.warning("%s; they count as mismatches", said)
        return
    if isinstance(classes, int):
        hint = f"class indices run from 0 to {classes - 1}, in the order of the base's scores"
    elif all(label.isascii() and label.isdigit() for label in foreign):
        hint = "leave out --classes: these are class indices"
    else:
        hint = f"write names as the list of classes has them, such as {classes[0][:100]!r}"
    raise ResponsesError(said, hint=hint)


def read_class_names(path: str | Path, n_classes: int) -> tuple[str, ...]:
    """Read the names of the base's classes, one a line, in the order of its scores.

    Raises:
        FileError: The file cannot be read.
        ResponsesError: As :func:`check_class_names`, or it is no text in UTF-8.
    """
    hint = "give a text file with one class name a line"
    content = read_bounded(Path(path), MAX_FILE_BYTES, hint=hint, too_large=ResponsesError)
    try:
        names = tuple(line.strip() for line in content.decode("utf-8-sig").splitlines() if line.strip())
    except UnicodeDecodeError as error:
        raise ResponsesError(f"{path}: it is no text in UTF-8: {error}", hint="save it as UTF-8") from error
    with name_file(path, ResponsesError):
        return check_class_names(names, n_classes)


def check_class_names(names: Sequence[str], n_classes: int) -> tuple[str, ...]:
    """Return the names of the base's classes.

    Raises:
        ResponsesError: There are more or fewer than ``n_classes``, or a name stands twice.
    """
    if len(names) != n_classes:
        raise ResponsesError(
            f"{len(names)} names of classes, and the fingerprint's base has {n_classes}",
            hint="one name for each class, in the order of the base's scores",
        )
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise ResponsesError(f"two classes have the name {twice[:100]!r}", hint="give them different names")
    return tuple(names)


def ask_levels(function: Function, fingerprint: Fingerprint, levels: Levels) -> Answers:
    """Return what a Python function answers to grid levels, shown as the examples of a fingerprint are.

    Raises:
        SuspectError: As :func:`ask_function`.
    """
    shown = replace(fingerprint, levels=levels, labels=np.zeros(len(levels), np.int64))
    return ask_function(function, shown).answers


def ask_function(function: Function, fingerprint: Fingerprint) -> Responses:
    """Ask a Python function, once, with all examples.

    Raises:
        SuspectError: It returned neither ``(n,)`` class indices nor ``(n, classes)`` scores. What the function raises
            itself is not caught.
    """
    n, n_classes = fingerprint.n_examples, fingerprint.manifest.base.n_classes
    answer = function(present_examples(fingerprint))
    wanted = f"return ({n},) integers, the classes, or ({n}, {n_classes}) numbers, the scores"
    try:
        given = np.asarray(answer)
    except (TypeError, ValueError, RuntimeError) as error:
        # Lists of several lengths, and tensors that say they are no arrays: of a gradient's graph, or of halves.
        raise SuspectError(
            f"the function answered {n} examples with a {type(answer).__name__} that is no array: {error}", hint=wanted
        ) from error
    if given.ndim == 2 and given.shape[0] == n and given.shape[1] >= 2 and given.dtype.kind in "fiu":
        finite = np.isfinite(given).all(axis=1)
        labels = np.where(finite, np.where(finite[:, None], given, 0).argmax(axis=1), -1).astype(np.int64)
        # Scores of other classes than the base's say nothing of ranks among the base's.
        scores = given.astype(np.float32) if finite.all() and given.shape[1] == n_classes else None
    elif given.shape == (n,) and given.dtype.kind in "iu":
        labels, scores = given.astype(np.int64), None
        labels[labels < 0] = -1
    else:
        raise SuspectError(
            f"the function answered {n} examples with an array of shape {given.shape} and type {given.dtype}",
            hint=wanted,
        )
    rows = [f"{number},{label if label >= 0 else ''}\n" for number, label in enumerate(labels.tolist(), 1)]
    recorded = "example,label\n" + "".join(rows)
    return Responses(Answers(labels, scores), f"sha256:{hashlib.sha256(recorded.encode()).hexdigest()}")


def _rows(content: bytes) -> Iterator[tuple[int, str, str]]:
    # Spreadsheets begin UTF-8 with a mark.
    text = io.StringIO(content.decode("utf-8-sig"), newline="")
    reader = csv.reader(text, strict=True, skipinitialspace=True)
    header = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in _COLUMNS if header.count(name) != 1]
    if missing:
        raise ResponsesError(f"line 1: there is not one column {missing[0]!r}", hint=_HINT)
    positions = [header.index(name) for name in _COLUMNS]
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        if len(row) <= max(positions):
            raise ResponsesError(f"line {reader.line_num}: {len(row)} cells, {len(header)} expected", hint=_HINT)
        if any(cell.strip() for cell in row[len(header) :]):
            raise ResponsesError(
                f"line {reader.line_num}: {len(row)} cells, {len(header)} expected",
                hint="put a class name that holds a comma in double quotes",
            )
        example, label = (row[position].strip() for position in positions)
        yield reader.line_num, example, label


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _index(label: str, classes: Sequence[str] | int, line: int) -> int:
    if not label:
        return -1
    if not isinstance(classes, int):
        return classes.index(label) if label in classes else len(classes)
    if not (label.isascii() and label.isdigit() and len(label) < 18):
        raise ResponsesError(
            f"line {line}: the label {label[:100]!r} is no class index from 0",
            hint="give the base's class names with --classes, one a line, where the suspect answers with names",
        )
    return int(label)


_HINT = "a header `example,label`, then a row for each example, with commas; `onnxfp export` prepares the file"
_NAMES_HINT = "return class indices from the function, in the order of the base's scores"

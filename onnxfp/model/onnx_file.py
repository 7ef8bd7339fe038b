"""Reading an ONNX file that a stranger may have written.

Nothing outside the file's own folder is opened, declared sizes are bounded, and what cannot be a model is refused
before onnxruntime sees it. The digest covers the file and its external data.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from onnxfp.errors import FileError, ModelFormatError, UnsafeModelError
from onnxfp.model.protobuf_scan import check_wire
from onnxfp.model.traversal import all_nodes, all_tensors, check_functions
from onnxfp.text import quote_text

if TYPE_CHECKING:
    import onnx

MAX_FILE_BYTES = 2**31 - 1
"""Largest protobuf that the format allows; larger models keep their weights in external files."""

MAX_EXTERNAL_BYTES = 2**36
"""Largest total of external data that is read (64 GiB)."""

MAX_READS = 8
"""How often tensors may read external data on average; some share theirs."""

KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"}
)


@dataclass(frozen=True, slots=False, eq=False)
class OnnxFile:
    """One ONNX file, read once.

    Attributes:
        path: Where it was read from; shown in messages only.
        real_path: The same without links, absolute: of several links to one file, all have their data beside the file.
        content: The bytes of the file.
        external: Absolute paths of its external data files, sorted by location.
        digest: ``sha256:<hex>`` of ``content``; with external data, of the digests of all files in order.
    """

    path: Path
    real_path: Path
    content: bytes = field(repr=False)
    external: tuple[Path, ...]
    digest: str

    @property
    def n_bytes(self) -> int:
        """Size of the file and its external data."""
        return len(self.content) + sum(file.stat().st_size for file in self.external)

    @cached_property
    def proto(self) -> onnx.ModelProto:
        """The parsed model, without external data; parsed again from ``content`` and safe to modify."""
        return _parse(self.path, self.content)

    def load_proto(self) -> onnx.ModelProto:
        """Return a fresh parsed model that includes its external data.

        Raises:
            ModelFormatError: An external file is shorter than the model says.
        """
        model = _parse(self.path, self.content)
        if self.external:
            import onnx

            try:
                onnx.load_external_data_for_model(model, str(self.real_path.parent))
            except (OSError, ValueError, onnx.checker.ValidationError) as error:
                raise ModelFormatError(f"the external data of {self.path} cannot be read: {error}") from error
        return model


def read_onnx(path: str | Path) -> OnnxFile:
    """Read an ONNX file and check that it is safe to hand to a runtime.

    Args:
        path: The ``.onnx`` file. External data must lie in the same folder or below it.

    Returns:
        The file's bytes, its digest and the external files that belong to it.

    Raises:
        FileError: The file cannot be read.
        ModelFormatError: It is not an ONNX model, has no graph, or exceeds the size limits.
        UnsafeModelError: It refers to files outside its folder, or to operators of an unknown domain.
    """
    path = Path(path)
    with _readable(path):
        # Once: what is checked and hashed here, a runtime opens later.
        real_path = Path(os.path.realpath(path))
    content = _read_bytes(path, real_path)
    model = _parse(path, content)
    if not model.graph.node:
        raise ModelFormatError(f"{path} holds no graph", hint="give the .onnx file of a classifier")
    with _named(path):
        check_functions(model)
    _check_domains(path, model)
    external = _external_files(path, real_path.parent, model)
    return OnnxFile(path, real_path, content, external, _digest(content, external))


def _digest(content: bytes, external: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(content)
    if external:
        digest = hashlib.sha256(b"onnxfp/external/1" + digest.digest())
        for file in external:
            with _readable(file), file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def _read_bytes(path: Path, real_path: Path) -> bytes:
    with _readable(path):
        if not real_path.is_file():
            reason = (
                "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a regular file"
            )
            raise FileError(f"{path} {reason}", hint="give the path of an .onnx file")
        size = real_path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFormatError(
                f"{path} has {size} bytes; an ONNX file has at most {MAX_FILE_BYTES}",
                hint="keep the weights in external data files beside it",
            )
        with real_path.open("rb") as stream:
            # Some files of the system have no length and never end.
            content = stream.read(size + 1)
        if len(content) != size:
            raise FileError(f"{path} has another length than its folder says", hint="wait until it is written")
        return content


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise FileError(f"{path} cannot be read: {reason}", hint="check the file's permissions") from error


def _parse(path: Path, content: bytes) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    if content[4:8] == b"ORTM":
        raise ModelFormatError(
            f"{path} is in onnxruntime's own .ort format, which cannot be checked",
            hint="give the .onnx file that it was made from",
        )
    with _named(path):
        check_wire(content)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ModelFormatError(
            f"{path} is not an ONNX model, or is truncated: {error}", hint="check the file with onnx.checker"
        ) from error
    return model


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the file's name before the complaints of functions that know only its content."""
    try:
        yield
    except ModelFormatError as error:
        raise ModelFormatError(f"{path} {error}", hint=error.hint) from error


def _check_domains(path: Path, model: onnx.ModelProto) -> None:
    functions = {(function.domain, function.name) for function in model.functions}
    for node in all_nodes(model):
        if node.domain not in KNOWN_DOMAINS and (node.domain, node.op_type) not in functions:
            raise UnsafeModelError(
                f"{path}: node {quote_text(node.name or node.op_type)} needs operator "
                f"{quote_text(f'{node.domain}::{node.op_type}')} of a custom library, which is never loaded",
                hint="export the model with standard ONNX operators",
            )


def _external_files(path: Path, folder: Path, model: onnx.ModelProto) -> tuple[Path, ...]:
    import onnx

    # Length of every piece that is read, by location; 0 is the whole file.
    locations: dict[str, list[int]] = {}
    for tensor in all_tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            length = next((_number(path, e.value) for e in tensor.external_data if e.key == "length"), 0)
            # Of several, runtimes differ in which they take.
            for location in {e.value for e in tensor.external_data if e.key == "location"} or {""}:
                locations.setdefault(location, []).append(length)
    # One file under two spellings is one file.
    files: dict[Path, int] = {}
    n_read = 0
    for location in sorted(locations):
        file = folder / location
        if _leaves(folder, location):
            raise UnsafeModelError(
                f"{path}: external data {quote_text(location)} lies outside the model's folder, or behind a link",
                hint="copy the data file beside the model and save the model again",
            )
        with _readable(file):
            if not file.is_file():
                raise FileError(
                    f"{path}: its external data file {quote_text(location)} is missing",
                    hint="put it beside the .onnx file",
                )
            files[file] = file.stat().st_size
        n_read += sum(length or files[file] for length in locations[location])
    if n_read > MAX_READS * sum(files.values()):
        raise ModelFormatError(
            f"{path}: its tensors read {n_read} bytes out of external data of {sum(files.values())}",
            hint="the same data stand for many tensors: save the model again, each tensor with its own",
        )
    if sum(files.values()) > MAX_EXTERNAL_BYTES:
        raise ModelFormatError(
            f"{path}: external data of {sum(files.values())} bytes exceed the limit of {MAX_EXTERNAL_BYTES}",
            hint="is it the right model?",
        )
    return tuple(files)


def _number(path: Path, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ModelFormatError(
            f"{path}: external data of length {quote_text(text)}", hint="save the model again with onnx.save_model"
        )
    return int(text)


def _leaves(folder: Path, location: str) -> bool:
    """Whether a location is outside the folder, or may be by the time that it is opened."""
    # Both flavours, since a model made on one system may attack another.
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    if not location.isprintable() or not posix.parts or posix.is_absolute() or windows.anchor:
        return True
    if ".." in posix.parts + windows.parts:
        return True
    with _readable(folder / location):
        return any((folder / part).is_symlink() for part in (posix, *posix.parents))

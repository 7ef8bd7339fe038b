"""Reading an ONNX file that a stranger may have written.

Nothing outside the file's own folder is opened, declared sizes are bounded, and what cannot be a model is refused
before onnxruntime sees it. The digest covers the file and its external data.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from onnxfp.errors import FileError, ModelFormatError, UnsafeModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

MAX_FILE_BYTES = 2**31 - 1
"""Largest protobuf that the format allows; larger models keep their weights in external files."""

MAX_EXTERNAL_BYTES = 2**36
"""Largest total of external data that is read (64 GiB)."""

KNOWN_DOMAINS = frozenset(
    {"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"}
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=False, eq=False)
class OnnxFile:
    """One ONNX file, read once.

    Attributes:
        path: Where it was read from; shown in messages only.
        content: The bytes of the file.
        external: Absolute paths of its external data files, sorted by location.
        digest: ``sha256:<hex>`` of ``content``; with external data, of the digests of all files in order.
    """

    path: Path
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
                onnx.load_external_data_for_model(model, str(self.path.parent))
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
    content = _read_bytes(path)
    model = _parse(path, content)
    if not model.graph.node:
        raise ModelFormatError(f"{path} holds no graph", hint="give the .onnx file of a classifier")
    _check_domains(path, model)
    external = _external_files(path, model)
    digest = hashlib.sha256(content)
    if external:
        digest = hashlib.sha256(b"onnxfp/external/1" + digest.digest())
        for file in external:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return OnnxFile(path, content, external, f"sha256:{digest.hexdigest()}")


def _read_bytes(path: Path) -> bytes:
    try:
        if not path.is_file():
            reason = (
                "is a folder" if path.is_dir() else "does not exist" if not path.exists() else "is not a plain file"
            )
            raise FileError(f"{path} {reason}", hint="give the path of an .onnx file")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelFormatError(
                f"{path} has {size} bytes; an ONNX file has at most {MAX_FILE_BYTES}",
                hint="keep the weights in external data files beside it",
            )
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror}", hint="check the file's permissions") from error


def _parse(path: Path, content: bytes) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    if content[4:8] == b"ORTM":
        raise ModelFormatError(
            f"{path} is in onnxruntime's own .ort format, which cannot be checked",
            hint="give the .onnx file that it was made from",
        )
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise ModelFormatError(
            f"{path} is not an ONNX model, or is truncated: {error}", hint="check the file with onnx.checker"
        ) from error
    return model


def _check_domains(path: Path, model: onnx.ModelProto) -> None:
    known = KNOWN_DOMAINS | {function.domain for function in model.functions}
    for node in _nodes(model):
        if node.domain not in known:
            raise UnsafeModelError(
                f"{path}: node {node.name or node.op_type!r} needs operator {node.domain}::{node.op_type} of a custom "
                "library, which is never loaded",
                hint="export the model with standard ONNX operators",
            )


def _external_files(path: Path, model: onnx.ModelProto) -> tuple[Path, ...]:
    import onnx

    locations: set[str] = set()
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
            locations.add(location)
    folder = path.resolve().parent
    files: list[Path] = []
    for location in sorted(locations):
        # Both flavours, since a model made on one system may attack another.
        posix, windows = PurePosixPath(location), PureWindowsPath(location)
        leaves = not location or posix.is_absolute() or windows.anchor or ".." in posix.parts + windows.parts
        file = folder / location
        if leaves or file.is_symlink() or not file.resolve().is_relative_to(folder):
            raise UnsafeModelError(
                f"{path}: external data {location!r} lies outside the model's folder, or is a link",
                hint="copy the data file beside the model and save the model again",
            )
        if not file.is_file():
            raise FileError(
                f"{path}: its external data file {location!r} is missing", hint="put it beside the .onnx file"
            )
        files.append(file)
    total = sum(file.stat().st_size for file in files)
    if total > MAX_EXTERNAL_BYTES:
        raise ModelFormatError(f"{path}: external data of {total} bytes exceeds the limit of {MAX_EXTERNAL_BYTES}")
    return tuple(files)


def _graphs(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        yield graph
        pending += [sub for node in graph.node for sub in _subgraphs(node)]
    for function in model.functions:
        pending += [sub for node in function.node for sub in _subgraphs(node)]
    while pending:
        graph = pending.pop()
        yield graph
        pending += [sub for node in graph.node for sub in _subgraphs(node)]


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    for graph in _graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def _tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    for graph in _graphs(model):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield sparse.values
            yield sparse.indices
    for node in _nodes(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors

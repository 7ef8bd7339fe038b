"""Reference models: found in files and folders, and opened for the base's contract."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from numpy.typing import ArrayLike

from onnxfp.bundle.manifest import BaseModel
from onnxfp.errors import FileError, ParameterError
from onnxfp.execution import Execution
from onnxfp.model.onnx_file import OnnxFile, read_onnx
from onnxfp.model_io import ModelIO
from onnxfp.runtime.session import ModelSession

Models = Iterable[str | Path]
"""Files of models, and folders of them."""


def model_files(models: Models) -> list[OnnxFile]:
    """Return the models of files and folders, each content once.

    Raises:
        FileError: A file cannot be read, or a folder holds none.
        ModelError: One is no safe ONNX model.
    """
    files: dict[str, OnnxFile] = {}
    for model in map(Path, models):
        try:
            paths = sorted(model.glob("*.onnx")) if model.is_dir() else [model]
        except OSError as error:
            raise FileError(f"{model} cannot be read: {error.strerror}", hint="check its permissions") from error
        if not paths:
            raise FileError(f"the folder {model} holds no .onnx file", hint="give a folder of unassociated models")
        for file in map(read_onnx, paths):
            files.setdefault(file.digest, file)
    return list(files.values())


def open_pool(
    models: Models,
    base: BaseModel,
    execution: Execution,
    fixed: Mapping[str, ArrayLike] | None = None,
) -> list[ModelSession]:
    """Open the references, so that one that does not fit is found before the long work and not after it.

    Args:
        models: Files and folders.
        base: The base, to which they must owe nothing.
        execution: Device and limits.
        fixed: Values for other graph inputs, taken by those that have such an input.

    Raises:
        ParameterError: One is the base itself.
        ModelError: One cannot be used.
        FileError: One cannot be read.
    """
    pool = []
    for file in model_files(models):
        if file.digest == base.digest:
            raise ParameterError(
                f"{file.path} is the base model itself; an unassociated model owes nothing to it",
                hint="leave it out",
            )
        pool.append(open_like(file, base, execution, fixed))
    return pool


def open_like(
    file: OnnxFile,
    base: BaseModel,
    execution: Execution,
    fixed: Mapping[str, ArrayLike] | None = None,
) -> ModelSession:
    """Open a model of which nothing is said but that it answers what the base does.

    Args:
        file: The model.
        base: Its names choose where the model leaves a choice.
        execution: Device and limits.
        fixed: Values for other graph inputs; those that the model has none for are left out.

    Raises:
        ModelError: It cannot be used.
    """
    names = {value.name for value in file.proto.graph.input}
    return ModelSession(
        file,
        ModelIO(fixed={name: value for name, value in (fixed or {}).items() if name in names}),
        execution=execution,
        n_classes=base.n_classes,
        like=(base.input, base.output),
    )

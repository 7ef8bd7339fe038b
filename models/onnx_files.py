"""Writing the networks as ONNX files, and the modifications of the base that need no training."""

from __future__ import annotations

import copy
import os
import tempfile
import warnings
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from models.networks import Classifier
from onnxfp.variants import laundering
from onnxfp.variants.channels import permute_channels
from onnxfp.variants.quantisation import quantise_statically


def export(network: nn.Module, path: Path, *, shape: tuple[int, ...] = (3, 32, 32), half: bool = False) -> None:
    """Write ``network`` as an ONNX file with a dynamic batch, input ``image`` and output ``logits``.

    Args:
        network: The trained network.
        path: The file to write.
        shape: Shape of one image.
        half: Whether weights, input and output become float16.
    """
    network = copy.deepcopy(network).eval()
    example = torch.rand(2, *shape)
    if half:
        network, example = network.half(), example.half()
    with warnings.catch_warnings():
        # The exporter warns about its own internals.
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (example,),
            input_names=["image"],
            output_names=["logits"],
            dynamic_shapes={"image": {0: torch.export.Dim("N")}},
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101 - the exporter's signature allows None for its other mode
    write(program.model_proto, path)


def write(model: onnx.ModelProto, path: Path) -> None:
    """Check ``model`` and write it, without the exporter's notes on source files."""
    for graph_part in (*model.graph.node, *model.graph.input, *model.graph.output, *model.graph.value_info):
        graph_part.ClearField("metadata_props")
        graph_part.ClearField("doc_string")
    for part in (model, model.graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for tensor in model.graph.initializer:
        tensor.ClearField("metadata_props")
        tensor.ClearField("doc_string")
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.write_bytes(model.SerializeToString(deterministic=True))
    os.replace(beside, path)  # noqa: PTH105 - the one atomic replacement that also works on Windows


def launder(network: Classifier, path: Path) -> None:
    """Write a copy that computes the same function and shares no name, no weight order and no node with the base."""
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        export(network, plain)
        model = laundering.optimise(permute_channels(onnx.load(plain), seed=7), "basic")
    model = laundering.rename(model, seed=7)
    model.producer_name = "in-house"
    write(model, path)


def quantise(source: Path, path: Path, images: Tensor) -> None:
    """Write an int8 QDQ copy, calibrated on ``(n, 3, 32, 32)`` uint8 images."""
    batches = ({"image": batch.float().div(255).numpy()} for batch in images.split(100))
    write(quantise_statically(onnx.load(source), batches), path)

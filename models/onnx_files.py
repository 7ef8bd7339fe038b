"""Writing the networks as ONNX files, and the modifications of the base that need no training."""

from __future__ import annotations

import copy
import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from networks import Classifier
from torch import Tensor, nn


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
    permuted = permute_channels(network, seed=7)
    with tempfile.TemporaryDirectory() as folder:
        plain, optimised = Path(folder) / "plain.onnx", Path(folder) / "optimised.onnx"
        export(permuted, plain)
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = str(optimised)
        options.log_severity_level = 3
        onnxruntime.InferenceSession(plain, options, providers=["CPUExecutionProvider"])
        model = onnx.load(optimised)
    _rename(model)
    model.producer_name, model.producer_version = "in-house", ""
    write(model, path)


def permute_channels(network: Classifier, seed: int) -> Classifier:
    """Return a copy of a plain network whose hidden channels stand in another order."""
    network = copy.deepcopy(network)
    generator = torch.Generator().manual_seed(seed)
    order = torch.arange(3)
    for layer in network.features.modules():
        if isinstance(layer, nn.Conv2d):
            inputs, order = order, torch.randperm(layer.out_channels, generator=generator)
            layer.weight.data = layer.weight.data[order][:, inputs].clone()
        elif isinstance(layer, nn.BatchNorm2d):
            for tensor in (layer.weight, layer.bias, layer.running_mean, layer.running_var):
                assert tensor is not None  # noqa: S101 - this network's layers have them all
                tensor.data = tensor.data[order].clone()
    network.head.weight.data = network.head.weight.data[:, order].clone()
    return network


def quantise(source: Path, path: Path, images: Tensor) -> None:
    """Write an int8 QDQ copy, calibrated on ``(n, 3, 32, 32)`` uint8 images."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._batches: Iterator[Tensor] = iter(images.split(100))

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return None if batch is None else {"image": batch.float().div(255).numpy()}

    with tempfile.TemporaryDirectory() as folder:
        prepared, quantised = Path(folder) / "prepared.onnx", Path(folder) / "quantised.onnx"
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(prepared, quantised, Images(), quant_format=QuantFormat.QDQ, per_channel=True)
        write(onnx.load(quantised), path)


def _rename(model: onnx.ModelProto) -> None:
    names: dict[str, str] = {"": ""}

    def new(name: str) -> str:
        return names.setdefault(name, f"t{len(names):03d}")

    for initializer in model.graph.initializer:
        initializer.name = new(initializer.name)
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        value.name = new(value.name)
    for number, node in enumerate(model.graph.node):
        node.name = f"op{number:03d}"
        node.input[:] = [new(name) for name in node.input]
        node.output[:] = [new(name) for name in node.output]
    initializers = sorted(model.graph.initializer, key=lambda tensor: hashlib.sha256(tensor.raw_data).digest())
    del model.graph.initializer[:]
    model.graph.initializer.extend(initializers)
    model.graph.name = "g"

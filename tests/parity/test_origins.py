"""Models of every origin: exported by PyTorch, quantised, optimised, half precision, old and new opsets, hand-made.

Each is converted, compared with onnxruntime, and its gradient with the native network's where there is one.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from onnxfp import Execution
from onnxfp.model.onnx_file import read_onnx
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import TorchCopy, build_torch_copy
from onnxfp.torch_copy.gradient_check import measure_gradient
from onnxfp.torch_copy.parity import check_parity
from tests.builders import build_model, declare, linear_classifier, write_model

IMAGES: NDArray[np.float32] = np.random.default_rng(0).random((5, 3, 16, 16), np.float32)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depthwise = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.BatchNorm2d(8), nn.Hardswish())
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 8, 1), nn.Hardsigmoid())
        self.head = nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(self.stem(x), 2, ceil_mode=True)
        y = self.depthwise(x)
        return self.head((x + y * self.gate(y)).mean((2, 3)))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 16, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.place = nn.Parameter(torch.randn(1, 17, 16))
        self.block = nn.TransformerEncoderLayer(16, 4, 32, activation="gelu", batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.place
        return self.head(self.norm(self.block(x))[:, 0])  # type: ignore[no-any-return]


class ConvNext(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.up, self.down = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)
        self.scale, self.head = nn.Parameter(torch.full((8,), 0.5)), nn.Linear(8, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.norm(self.wide(x).permute(0, 2, 3, 1))
        y = self.scale * self.down(nn.functional.gelu(self.up(y)))
        return self.head((x + y.permute(0, 3, 1, 2)).mean((-2, -1)))  # type: ignore[no-any-return]


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rows, self.head = nn.LSTM(48, 10, batch_first=True, bidirectional=True), nn.Linear(20, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.rows(x.permute(0, 2, 1, 3).flatten(2))
        return self.head(y[:, -1])  # type: ignore[no-any-return]


class Upsampled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.shrink, self.grow = nn.Conv2d(3, 8, 3, 2), nn.ConvTranspose2d(8, 6, 3, 2, 1, output_padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = nn.functional.interpolate(self.shrink(x), scale_factor=2, mode="bilinear", align_corners=False)
        y = nn.functional.avg_pool2d(nn.functional.pad(self.grow(y), (1, 2, 0, 1), mode="reflect"), 3, 2, 1)
        return torch.log_softmax(y.amax((2, 3)), dim=1)


NETWORKS = [Residual, Transformer, ConvNext, Recurrent, Upsampled]


def export(network: nn.Module, path: Path, opset: int | None, *, batch: bool = True) -> None:
    options = {"input_names": ["image"], "output_names": ["logits"], "opset_version": opset}
    x = torch.from_numpy(IMAGES[:2] if batch else IMAGES[:1])
    with warnings.catch_warnings():
        # Both exporters warn about their own future.
        warnings.simplefilter("ignore")
        if opset is None or opset >= 18:
            shapes = ({0: torch.export.Dim.DYNAMIC},) if batch else None
            torch.onnx.export(network, (x,), path, dynamo=True, dynamic_shapes=shapes, verbose=False, **options)  # type: ignore[arg-type]
        else:
            axes = {"image": {0: "N"}} if batch else None
            torch.onnx.export(network, (x,), path, dynamo=False, dynamic_axes=axes, **options)  # type: ignore[arg-type]


def convert(path: Path, inputs: NDArray[np.float32] = IMAGES) -> tuple[TorchCopy, ModelSession]:
    file = read_onnx(path)
    session = ModelSession(file, execution=Execution("cpu", limits=None), optimise=False)
    copy = build_torch_copy(file.load_proto(), output_name=session.output.name)
    copy.adapt(session.output.kind, session.input.batch, torch.from_numpy(inputs))
    return copy, session


def made(maker: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    network = maker().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
    return network


@pytest.mark.parametrize("opset", [14, 17, 18, None, 23])
@pytest.mark.parametrize("maker", NETWORKS, ids=lambda maker: maker.__name__)
def test_pytorch_exports(tmp_path: Path, maker: Callable[[], nn.Module], opset: int | None) -> None:
    network = made(maker)
    export(network, tmp_path / "m.onnx", opset)
    copy, session = convert(tmp_path / "m.onnx")
    assert check_parity(copy, session, IMAGES).max_rel_difference < 1e-4
    # In double precision no rounding switches a ReLU.
    x = torch.from_numpy(IMAGES).double().requires_grad_(True)
    network.double()
    copy.double()
    (native,) = torch.autograd.grad(network(x)[:, 2].sum(), x)
    (own,) = torch.autograd.grad(copy.score(x)[:, 2].sum(), x)
    assert native.abs().max() > 0
    torch.testing.assert_close(own, native, rtol=1e-3, atol=1e-5 * float(native.abs().max()))


@pytest.mark.parametrize("maker", [Residual, Transformer, Recurrent], ids=lambda maker: maker.__name__)
@pytest.mark.parametrize("opset", [17, None])
def test_a_batch_of_one_that_is_baked_in(tmp_path: Path, maker: Callable[[], nn.Module], opset: int | None) -> None:
    export(made(maker), tmp_path / "m.onnx", opset, batch=False)
    copy, session = convert(tmp_path / "m.onnx")
    assert session.input.batch == 1
    assert check_parity(copy, session, IMAGES).n_label_flips == 0
    assert (measure_gradient(copy, session, IMAGES) or 1) < 0.2


@pytest.mark.parametrize("level", ["BASIC", "EXTENDED"])
@pytest.mark.parametrize("maker", [Residual, Transformer, ConvNext], ids=lambda maker: maker.__name__)
def test_graphs_that_onnxruntime_optimised(tmp_path: Path, maker: Callable[[], nn.Module], level: str) -> None:
    network = made(maker)
    export(network, tmp_path / "plain.onnx", 17)
    options = onnxruntime.SessionOptions()  # noqa: TID251
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
    options.optimized_model_filepath = str(tmp_path / "m.onnx")
    onnxruntime.InferenceSession(tmp_path / "plain.onnx", options, providers=["CPUExecutionProvider"])  # noqa: TID251
    copy, session = convert(tmp_path / "m.onnx")
    assert check_parity(copy, session, IMAGES).max_rel_difference < 1e-4
    with torch.no_grad():
        expected = network(torch.from_numpy(IMAGES))
    torch.testing.assert_close(copy.score(torch.from_numpy(IMAGES)), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic"])
@pytest.mark.parametrize("maker", [Residual, Transformer], ids=lambda maker: maker.__name__)
def test_int8(tmp_path: Path, maker: Callable[[], nn.Module], form: str) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        batches = iter([{"image": IMAGES}])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.batches, None)

    export(made(maker), tmp_path / "plain.onnx", 17)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if form == "dynamic":
            quantize_dynamic(tmp_path / "plain.onnx", tmp_path / "m.onnx")
        else:
            quantize_static(
                tmp_path / "plain.onnx", tmp_path / "m.onnx", Reader(), quant_format=getattr(QuantFormat, form)
            )
    copy, session = convert(tmp_path / "m.onnx")
    # One level of an 8-bit tensor may round the other way in another order of summation.
    expected, found = session.answer(IMAGES).scores, copy.score(torch.from_numpy(IMAGES)).numpy()
    assert expected is not None
    assert np.abs(found - expected).max() < 0.05 * np.abs(expected).max()
    x = torch.from_numpy(IMAGES).requires_grad_(True)
    (gradient,) = torch.autograd.grad(copy.score(x)[:, 0].sum(), x)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 18, 22, 24])
def test_hand_made_graphs_of_every_age(
    tmp_path: Path, make_classifier: Callable[..., onnx.ModelProto], opset: int
) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(make_classifier(opset=17).SerializeToString())
    model = onnx.load(path)
    model.opset_import[0].version = opset
    onnx.checker.check_model(model)
    file = tmp_path / "aged.onnx"
    file.write_bytes(model.SerializeToString())
    images = IMAGES[:, :, :8, :8].copy()
    copy, session = convert(file, images)
    assert check_parity(copy, session, images).max_rel_difference < 1e-5


def test_channels_last_as_tensorflow_writes_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    w = numpy_helper.from_array(rng.normal(size=(8, 3, 3, 3)).astype(np.float32), "w")
    v = numpy_helper.from_array(rng.normal(size=(8, 6)).astype(np.float32), "v")
    nodes = [
        helper.make_node("Transpose", ["image"], ["x"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x", "w"], ["c"], auto_pad="SAME_UPPER", strides=[2, 2]),
        helper.make_node("Transpose", ["c"], ["t"], perm=[0, 2, 3, 1]),
        helper.make_node("Relu", ["t"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["p"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["p", "v"], ["s"]),
        helper.make_node("Softmax", ["s"], ["probabilities"]),
    ]
    image, probabilities = declare("image", ["N", 16, 16, 3]), declare("probabilities", ["N", 6])
    model = build_model(nodes, [image], [probabilities], [w, v], opset=13)
    path = write_model(model, tmp_path / "m.onnx")
    images = np.ascontiguousarray(IMAGES.transpose(0, 2, 3, 1))
    copy, session = convert(path, images)
    assert session.input.layout == "NHWC"
    check_parity(copy, session, images)
    assert (measure_gradient(copy, session, images) or 1) < 0.2


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
def test_scikit_learns_linear_classifier(tmp_path: Path, n_classes: int, zipped: bool) -> None:
    rng = np.random.default_rng(1)
    nodes = [
        helper.make_node("Scaler", ["x"], ["z"], domain="ai.onnx.ml", offset=[0.5] * 7, scale=[2.0] * 7),
        helper.make_node(
            "LinearClassifier",
            ["z"],
            ["label", "raw"],
            domain="ai.onnx.ml",
            coefficients=rng.normal(size=n_classes * 7).tolist(),
            intercepts=rng.normal(size=n_classes).tolist(),
            classlabels_ints=list(range(n_classes)),
            post_transform="SOFTMAX",
        ),
        helper.make_node("Normalizer", ["raw"], ["scores"], domain="ai.onnx.ml", norm="L1"),
    ]
    outputs = [declare("label", ["N"], TensorProto.INT64), declare("scores", ["N", n_classes])]
    if zipped:
        nodes.append(
            helper.make_node(
                "ZipMap", ["scores"], ["maps"], domain="ai.onnx.ml", classlabels_int64s=list(range(n_classes))
            )
        )
        kind = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(1, []))
        outputs[1] = helper.make_value_info("maps", helper.make_sequence_type_proto(kind))
    model = build_model(nodes, [declare("x", ["N", 7])], outputs, domains={"ai.onnx.ml": 1})
    path = write_model(model, tmp_path / "m.onnx")
    features = rng.normal(size=(6, 7)).astype(np.float32)
    copy, session = convert(path, features)
    assert session.output.n_classes == n_classes
    assert session.output.kind == "scores"
    assert check_parity(copy, session, features).max_rel_difference < 1e-5
    assert (measure_gradient(copy, session, features) or 1) < 0.01


@pytest.mark.parametrize("sigmoid", [True, False])
def test_one_number_speaks_for_two_classes(tmp_path: Path, sigmoid: bool) -> None:
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(7, 1)).astype(np.float32)
    path = write_model(linear_classifier(weight, last="Sigmoid" if sigmoid else ""), tmp_path / "m.onnx")
    features = rng.normal(size=(50, 7)).astype(np.float32)
    copy, session = convert(path, features)
    assert session.output.kind == ("probability" if sigmoid else "logit")
    expected = (features @ weight > 0).astype(int).reshape(-1)
    assert (session.answer(features).labels == expected).all()
    check_parity(copy, session, features)


@pytest.mark.parametrize("maker", [Residual, ConvNext], ids=lambda maker: maker.__name__)
def test_an_independent_converter_agrees(
    tmp_path: Path, maker: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "torchvision" not in sys.modules:
        # onnx2torch imports it for two operators of object detectors, and never calls it here.
        for name in ("torchvision", "torchvision.ops"):
            stand_in = types.ModuleType(name)
            stand_in.roi_align = stand_in.nms = None  # type: ignore[attr-defined]
            monkeypatch.setitem(sys.modules, name, stand_in)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import onnx2torch

        export(made(maker), tmp_path / "m.onnx", 13)
        second = onnx2torch.convert(onnx.load(tmp_path / "m.onnx")).eval()
        with torch.no_grad():
            expected = second(torch.from_numpy(IMAGES))
    copy, _ = convert(tmp_path / "m.onnx")
    torch.testing.assert_close(copy.score(torch.from_numpy(IMAGES)), expected, rtol=1e-4, atol=1e-5)

"""Which architectures can be fingerprinted: export, convert, compare scores and gradients. Writes COVERAGE.md.

    make benchmark-coverage

Every PyTorch model has random weights and is exported by PyTorch's present exporter at several opsets and by its older
one. The torch copy's scores are compared with onnxruntime's (optimisations off), its input gradient with that of the
native network. What other frameworks export (export_origins.py) is compared with onnxruntime alone, and really
fingerprinted. Results are kept in .cache/coverage.jsonl as they come, so an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from torch import nn

import onnxfp
from onnxfp import Execution, ModelIO
from onnxfp.errors import OnnxfpError
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import build_torch_copy
from onnxfp.torch_copy.gradient_check import measure_gradient
from onnxfp.torch_copy.parity import measure_parity
from onnxfp.types import Bounds, InputGrid

HERE = Path(__file__).parent
# A CPU build of torch beside torchvision's CUDA build lacks the schema of these operators, which no classifier needs.
_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for _name in ("nms", "qnms"):
    if not torch._C._dispatch_has_kernel(f"torchvision::{_name}"):
        _LIBRARY.define(f"{_name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

CACHE = HERE.parent / ".cache" / "coverage.jsonl"
ORIGINS = HERE.parent / ".cache" / "origins"

TORCHVISION = (
    *("alexnet", "vgg11_bn", "resnet18", "squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2"),
    *("mobilenet_v3_small", "shufflenet_v2_x0_5", "efficientnet_b0", "regnet_y_400mf", "convnext_tiny", "vit_b_16"),
    "swin_t",
)
TIMM = (
    *(
        "resnet10t",
        "resnetv2_50",
        "seresnet18",
        "skresnet18",
        "resnest14d",
        "ecaresnet26t",
        "repvgg_a0",
        "mobileone_s0",
    ),
    *("efficientnetv2_rw_t", "tf_efficientnet_lite0", "mobilenetv4_conv_small", "ghostnet_100", "lcnet_050"),
    *("hrnet_w18_small", "dla34", "darknet17", "convnext_atto", "convnextv2_atto", "regnetz_005", "fastvit_t8"),
    *("deit_tiny_patch16_224", "eva02_tiny_patch14_224", "cait_xxs24_224", "xcit_nano_12_p16_224", "poolformer_s12"),
    *("mixer_s32_224", "gmlp_ti16_224", "swin_tiny_patch4_window7_224", "maxvit_tiny_tf_224", "levit_128s"),
)
EXPORTERS = (("dynamo", 18), ("dynamo", None), ("dynamo", 23), ("torchscript", 13), ("torchscript", 17))
MAX_SCORE_DIFFERENCE, MAX_GRADIENT_DIFFERENCE = 1e-4, 1e-3
N_ROUNDINGS = 8
N_FINGERPRINTED = 5
# What the files of other frameworks leave to their user: values of inputs that tf2onnx adds for captured constants, the
# size of images, and their range.
ORIGIN_OPTIONS: dict[str, dict[str, Any]] = {
    "keras-EfficientNetV2B0": {
        "fixed_parts": {"Sub/y": (0.485, 0.456, 0.406), "Sqrt/x": (0.229, 0.224, 0.225)},
        "upper": 255.0,
    },
    "keras-MobileNetV3Small": {"input_shape": (224, 224, 3), "upper": 255.0},
}
ORIGINS_TEXT = """\
*Scores* as above. *Gradient*: median difference between the copy's gradient and finite differences of onnxruntime's
own scores, which kinks of the network disturb by some percents; empty where saturated probabilities leave nothing to
compare, infinite where the graph itself overflows on its way. *Fingerprint*: match rate of the very file with its own
fingerprint of {n} examples, and the candidates that it took. scikit-learn's models are trained on its digits;
Keras's have random weights.
"""
TEXT = """\
# Which architectures can be fingerprinted

Written by `make benchmark-coverage` with {versions}; random weights, seed 0.

*Scores*: largest difference of a score between the torch copy and onnxruntime, relative to the largest score (limit
1e-4). *Gradient*: the same between the copy's input gradient and the native network's, in double precision (limit
{limit:g}). A row where the exporter itself failed counts for nobody. *At the floor*: rounding to single precision
moves the native network's own scores or gradient at least half as far, so that no copy could be expected nearer.

"""


def networks() -> Iterator[tuple[str, str, Callable[[], nn.Module], int, tuple[tuple[str, int | None], ...]]]:
    """Yield source, name, constructor, image size and the exporters to try."""
    import timm
    import torchvision

    for name in TORCHVISION:
        size = 299 if name == "inception_v3" else 224
        extra = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}

        def make(name: str = name, extra: dict[str, Any] = extra) -> nn.Module:
            network: nn.Module = torchvision.models.get_model(name, weights=None, **extra)
            return network

        yield "torchvision", name, make, size, EXPORTERS
    for name in TIMM:
        known = timm.get_pretrained_cfg(name)
        size = known.input_size[-1] if known else 224

        def make_timm(name: str = name) -> nn.Module:
            network: nn.Module = timm.create_model(name, pretrained=False)
            return network

        yield "timm", name, make_timm, size, (("dynamo", None),)


def export(network: nn.Module, x: torch.Tensor, path: Path, exporter: str, opset: int | None) -> None:
    """Write the network as an ONNX file with a dynamic batch."""
    options: dict[str, Any] = {"input_names": ["image"], "output_names": ["logits"], "opset_version": opset}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if exporter == "dynamo":
            shapes = ({0: torch.export.Dim.DYNAMIC},)
            torch.onnx.export(network, (x,), path, dynamo=True, dynamic_shapes=shapes, verbose=False, **options)
        else:
            torch.onnx.export(network, (x,), path, dynamo=False, dynamic_axes={"image": {0: "N"}}, **options)


def gradient_difference(network: nn.Module, copy: nn.Module, x: torch.Tensor, *, native_alone: bool = False) -> float:
    """Return the largest difference of the two input gradients, relative to the native one's largest value.

    Both are computed in double precision: in single precision the gradient of one and the same network already moves
    by percents, wherever rounding switches a ReLU or the winner of a max pooling. ``native_alone`` compares a network
    with itself in single precision.
    """
    gradients = []
    for model, is_double in ((network.double(), True), (copy if native_alone else copy.double(), not native_alone)):
        point = (x.double() if is_double else x).clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(model(point)[:, :10].square().sum(), point)
        gradients.append(gradient)
    if not torch.isfinite(gradients[1]).all() or not gradients[1].abs().max():
        return float("inf")
    return float((gradients[0] - gradients[1]).abs().max() / gradients[0].abs().max())


def measure(network: nn.Module, size: int, exporter: str, opset: int | None) -> dict[str, Any]:
    """Return one row of the table."""
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        began = time.monotonic()
        try:
            export(network, x, path, exporter, opset)
        except Exception as error:  # noqa: BLE001 - an exporter's failure is a row of the table, whatever its type
            why = f"{type(error).__name__}: {error}".splitlines()[0]
            return {"result": "export failed", "why": why[:120]}
        seconds = {"export_s": round(time.monotonic() - began, 1)}
        try:
            began = time.monotonic()
            file = read_onnx(path)
            copy = build_torch_copy(file.load_proto())
            seconds["convert_s"] = round(time.monotonic() - began, 1)
            session = ModelSession(file, execution=Execution("cpu", limits=None), optimise=False)
            parity = measure_parity(copy, session, x.numpy())
            gradient = gradient_difference(deepcopy(network), copy, x)
        except OnnxfpError as error:
            return {"result": "failed", "why": str(error)[:300], **seconds}
    row = {"result": "good", "scores": parity.max_rel_difference, "gradient": gradient, **seconds}
    if parity.max_rel_difference >= MAX_SCORE_DIFFERENCE or gradient >= MAX_GRADIENT_DIFFERENCE:
        scores_floor, gradient_floor = rounding_floor(network, x)
        at_floor = parity.max_rel_difference <= max(MAX_SCORE_DIFFERENCE, 2 * scores_floor)
        at_floor &= gradient <= max(MAX_GRADIENT_DIFFERENCE, 2 * gradient_floor)
        row["result"] = "good, at the floor" if at_floor else "differs"
        row["why"] = f"the native network itself moves by {scores_floor:.1e} and {gradient_floor:.1e}"
    return row


def measure_origin(path: Path) -> dict[str, Any]:
    """Return one row of the table of other frameworks."""
    stem = path.stem.rsplit("-", 1)[0]
    options = dict(ORIGIN_OPTIONS.get(stem, {}))
    try:
        file = read_onnx(path)
        parts = options.pop("fixed_parts", {})
        upper = options.pop("upper", 16.0 if stem.startswith("sklearn") else 1.0)
        names = [value.name for value in file.proto.graph.input]
        fixed = {name: value for name in names for part, value in parts.items() if part in name}
        if fixed:
            options |= {"fixed": fixed, "input_name": next(name for name in names if name not in fixed)}
        io, on_cpu = ModelIO(**options), Execution("cpu")
        session = ModelSession(file, io, execution=replace(on_cpu, limits=None), optimise=False)
        is_image = len(session.input.shape) == 3
        grid = InputGrid(Bounds(0.0, upper), 256 if is_image else 65536)
        inputs = np.random.default_rng(0).random((4, *session.input.shape)).astype(np.float32) * np.float32(upper)
        copy = build_torch_copy(
            file.load_proto(),
            input_name=session.input.name,
            output_name=session.output.name,
            fixed=session.fixed,
        )
        copy.adapt(session.output.kind, session.input.batch, torch.from_numpy(inputs))
        parity = measure_parity(copy, session, inputs)
        gradient = measure_gradient(copy, session, inputs)
        # A ball that lets random weights and features reach any label: here the way through matters, not the strength.
        choices = RecipeOverrides(kind="c", epsilon=upper / 3, n_steps=15, step_size=upper / 30)
        fingerprint = onnxfp.generate(
            path, n_examples=N_FINGERPRINTED, overrides=choices, io=replace(io, grid=grid), execution=on_cpu
        )
        report = onnxfp.verify(path, fingerprint, io=io, execution=on_cpu)
    except OnnxfpError as error:
        return {"result": "failed", "why": str(error)[:300]}
    shown = f"{session.input.layout} {session.input.shape}"
    found = f"{report.match_rate:.0%} of {report.counts.n_asked}, {report.counts.n_candidates} candidates"
    is_good = parity.max_rel_difference < MAX_SCORE_DIFFERENCE and report.match_rate == 1.0
    row = {"result": "good" if is_good else "differs", "scores": parity.max_rel_difference, "fingerprint": found}
    return {**row, "input": shown, "fixed": list(fixed)} | ({} if gradient is None else {"gradient": gradient})


def rounding_floor(network: nn.Module, x: torch.Tensor) -> tuple[float, float]:
    """Return how far rounding to single precision moves the native network's own scores and gradient.

    The largest of several roundings: of every computation, and of the weights alone (relative noise of 6e-8).
    """
    exact = deepcopy(network).double()
    with torch.no_grad():
        expected = exact(x.double())
        scores = float((expected - network(x).double()).abs().max() / expected.abs().max())
    gradient = gradient_difference(deepcopy(exact), network, x, native_alone=True)
    for seed in range(N_ROUNDINGS):
        rounded, generator = deepcopy(exact), torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in rounded.parameters():
                parameter.mul_(1 + 6e-8 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
            scores = max(scores, float((expected - rounded(x.double())).abs().max() / expected.abs().max()))
        gradient = max(gradient, gradient_difference(exact, rounded, x))
    return scores, gradient


def write_table(rows: list[dict[str, Any]]) -> None:
    """Write COVERAGE.md."""
    # onnxruntime's distribution has two names.
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    versions |= {name: version(name) for name in ("onnx", "onnxscript", "timm", "torchvision")}
    listed = ", ".join(f"{name} {number}" for name, number in versions.items())
    lines = TEXT.format(versions=listed, limit=MAX_GRADIENT_DIFFERENCE).splitlines()
    for source in ("torchvision", "timm"):
        mine = [row for row in rows if row["source"] == source]
        exported = [row for row in mine if row["result"] != "export failed"]
        n_good = sum(row["result"].startswith("good") for row in mine)
        lines += [f"## {source}: {n_good} of {len(exported)} exported files ({len(mine)} tried)", ""]
        lines += ["| model | exporter | opset | result | scores | gradient | export s | convert s |", "|---" * 8 + "|"]
        for row in mine:
            numbers = [f"{row[key]:.1e}" if key in row else "" for key in ("scores", "gradient")]
            times = [str(row.get(key, "")) for key in ("export_s", "convert_s")]
            why = f": {row['why']}".replace("|", "/").replace("\n", " ") if "why" in row else ""
            cells = [
                row["name"],
                row["exporter"],
                str(row["opset"] or "default"),
                row["result"] + why,
                *numbers,
                *times,
            ]
            lines.append("| " + " | ".join(cells) + " |")
        lines.append("")
    origins = [row for row in rows if row["source"] == "origins"]
    n_good = sum(row["result"] == "good" for row in origins)
    lines += [f"## Keras (tf2onnx) and scikit-learn (skl2onnx): {n_good} of {len(origins)}", ""]
    lines += [*ORIGINS_TEXT.format(n=N_FINGERPRINTED).splitlines(), ""]
    lines += ["| file | input | result | scores | gradient | fingerprint |", "|---" * 6 + "|"]
    for row in origins:
        why = f": {row['why']}".replace("|", "/") if "why" in row else ""
        scores = f"{row['scores']:.1e}" if "scores" in row else ""
        gradient = f"{row['gradient']:.1%}" if "gradient" in row else ""
        note = ", `--fix`" if row.get("fixed") else ""
        cells = [row["name"], row.get("input", "") + note, row["result"] + why, scores, gradient]
        lines.append("| " + " | ".join([*cells, row.get("fingerprint", "")]) + " |")
    lines.append("")
    (HERE / "COVERAGE.md").write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    """Measure what is not in the cache, then write the table."""
    parser = argparse.ArgumentParser(description="Measure which architectures can be fingerprinted.")
    parser.add_argument("--only", help="part of a model's name")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    CACHE.parent.mkdir(exist_ok=True)
    rows = [json.loads(line) for line in CACHE.read_text().splitlines()] if CACHE.exists() else []
    done = {(row["name"], row["exporter"], row["opset"]) for row in rows}
    for source, name, make, size, exporters in networks():
        missing = [pair for pair in exporters if (name, *pair) not in done]
        if not missing or (arguments.only and arguments.only not in name):
            continue
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 - some constructors draw from numpy's global generator
        network = make().eval()
        for parameter in network.parameters():
            # Some constructors leave heads at zero: such a network has nothing to compare.
            if parameter.ndim > 1 and not parameter.any():
                nn.init.normal_(parameter, std=0.02)
        for exporter, opset in missing:
            row = {"source": source, "name": name, "exporter": exporter, "opset": opset}
            row |= measure(network, size, exporter, opset)
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
            with CACHE.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(row) + "\n")
    for path in sorted(ORIGINS.glob("*.onnx")):
        if ("origins", path.stem) in {(row["source"], row["name"]) for row in rows}:
            continue
        if arguments.only and arguments.only not in path.stem:
            continue
        row = {"source": "origins", "name": path.stem, "exporter": None, "opset": None, **measure_origin(path)}
        print(json.dumps(row), file=sys.stderr, flush=True)
        rows.append(row)
        with CACHE.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(row) + "\n")
    write_table(rows)


if __name__ == "__main__":
    main()

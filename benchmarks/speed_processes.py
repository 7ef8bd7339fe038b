"""The parts of the speed benchmark that are measured as processes of their own, by wall time, CPU time and memory."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from onnxfp import Execution

if TYPE_CHECKING:
    from benchmarks import speed

HERE = Path(__file__).parent
ROOT = HERE.parent
CACHE = ROOT / ".cache" / "speed"
Row = tuple[str, str, str, str]
# So many examples are crafted once: they are their own repetition.
_MANY = 1000

BARE = """
import sys, numpy, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
with numpy.load(sys.argv[2], allow_pickle=False) as bundle:
    levels, labels = bundle["examples"], bundle["labels"]
found = []
for part in numpy.split(levels, range(int(sys.argv[3]), len(levels), int(sys.argv[3]))):
    scores = session.run(None, {session.get_inputs()[0].name: part.astype(numpy.float32) / 255})[0]
    found.append(scores.argmax(1))
print((numpy.concatenate(found) == labels).mean())
"""


def verification(_: torch.device) -> list[Row]:
    """Section 4: ``onnxfp verify`` against a script that does nothing but ask."""
    from benchmarks import imagenet

    rows: list[Row] = []
    golden = ROOT / "tests" / "golden" / "base-1.fp.npz"
    cases = [("cifar10_base", ROOT / "models" / "base.onnx", golden, 256, "1.3")]
    path = imagenet.build("mobilenet_v2")
    cases.append(("mobilenet_v2", path, _unfinished_bundle(path, 100), 13, "1.1"))
    for name, path, bundle, batch, target in cases:
        bare = [sys.executable, "-c", BARE, str(path), str(bundle), str(batch)]
        verify = [sys.executable, "-m", "onnxfp", "verify", str(path), str(bundle)]
        found = _compare_processes({"bare": bare, "verify": verify})
        for number, what in enumerate(("wall time", "CPU time")):
            ratio = found["verify"][number] / found["bare"][number]
            rows.append(
                (
                    f"{name}: verify / bare script, {what}",
                    f"{ratio:.2f}",
                    "" if number else target,
                    f"whole processes, in one of its own; bare {found['bare'][number]:.2f} s",
                )
            )
        print(rows[-2:], flush=True)
    seconds = _compare_processes({"help": [sys.executable, "-m", "onnxfp", "--help"]})["help"][1]
    rows.append(("onnxfp --help, CPU time", f"{seconds:.2f} s", "0.3 s", "whole process"))
    return [*rows, *_opening()]


def _opening() -> list[Row]:
    import onnxfp
    from onnxfp.bundle.reader import read_bundle

    rows: list[Row] = []
    for name, bundle in (
        ("coarse seeds, 32 x 32", _unfinished_bundle(ROOT / "models" / "base.onnx", 5000)),
        ("coarse seeds, 224 x 224", _unfinished_bundle(ROOT / ".cache/imagenet/mobilenet_v2.onnx", 100)),
    ):
        times: dict[str, list[float]] = {"copy": [], "read": [], "load": []}
        content = bundle.read_bytes()
        for _ in range(5):
            for what, call in (
                ("copy", lambda c=content: bytearray(c)),
                ("read", lambda b=bundle: read_bundle(b)),
                ("load", lambda b=bundle: onnxfp.load(b)),
            ):
                began = time.process_time()
                call()
                times[what].append(time.process_time() - began)
        rate = {what: len(content) / statistics.median(values) / 2**20 for what, values in times.items()}
        rows.append(
            (
                f"opening a bundle, {name}: MB/s of CPU time",
                f"{rate['read']:.0f} read and checked, {rate['load']:.0f} derived again as well",
                f"{rate['copy']:.0f} (a copy in memory)",
                f"{len(content) / 2**20:.0f} MB",
            )
        )
    return rows


def scale(device: torch.device) -> list[Row]:
    """Section 5: how cost grows with examples, image side and parameters; memory."""
    from benchmarks import speed

    rows: list[Row] = []
    series: list[tuple[str, str, list[tuple[float, Path, int]]]] = [
        ("n examples", "ltrc", [(n, _small(32), n) for n in (100, 1000, 10_000)]),
        ("pixels", "ltrc", [(side**2, _small(side), 16) for side in (32, 64, 128, 256, 512)]),
        ("parameters", "rc", [(0, _wide(width), 16) for width in (64, 512, 2048, 8192)]),
    ]
    for name, kind, points in series:
        measured = []
        for size, path, n in points:
            bench = speed.Bench(path, device, kind, n=n, n_steps=2)
            seconds, growth = zip(*(_craft(bench) for _ in range(1 if n > _MANY else 5)), strict=True)
            n_weights = sum(weight.numel() for weight in bench.source._copy.parameters())
            measured.append((size or float(n_weights), statistics.median(seconds), max(growth)))
            print(name, measured[-1], flush=True)
        slope = _slope([m[0] for m in measured], [m[1] for m in measured])
        ends = f"{measured[0][0]:,.0f} to {measured[-1][0]:,.0f}"
        rows.append((f"crafting time against {name}: exponent", f"{slope:.2f}", "1 or less", ends))
        memory = ", ".join(f"{m[2] / 2**20:.0f}" for m in measured)
        target = "" if name == "parameters" else "300, flat" if name == "n examples" else "300"
        rows.append((f"peak beyond the model's own against {name}: MB", memory, target, ends))
    return [*rows, *_noise(device)]


def _craft(bench: speed.Bench) -> tuple[float, int]:
    """Return the processor seconds of crafting as ``generate`` does, and by how many bytes the process grew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before, began = _status("VmRSS"), time.process_time()
    bench.craft(bench.session.batch_size)
    return time.process_time() - began, max(_status("VmHWM") - before, 0)


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ":"))


def _noise(device: torch.device) -> list[Row]:
    """Weight noise against the pass that it perturbs, on VGG-16 (138 M parameters)."""
    from benchmarks import speed
    from onnxfp.crafting.weight_noise import WeightNoise

    bench = speed.Bench(speed.network("vgg16")[1], device, "c", n=1, n_steps=1)
    noise = WeightNoise(list(bench.source._copy.weights().values()), 0.05, torch.Generator(device).manual_seed(0))

    def draw() -> None:
        with noise.perturbed():
            pass

    found = speed.compare({"noise": draw, "pass": bench.floor})
    ratio = found["noise"] / found["pass"]
    return [("weight noise of VGG-16 / the pass it perturbs", f"{ratio:.3f}", "0.2", "138 M parameters, 1 example")]


def _slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent of the power law through the points, by least squares on logarithms."""
    return float(np.polyfit([log(s) for s in sizes], [log(v) for v in values], 1)[0])


def _compare_processes(commands: dict[str, list[str]], repeats: int = 5) -> dict[str, tuple[float, float]]:
    """Return the median wall and CPU seconds of each command, run in turn."""
    # As users have it: what was compiled once stays so.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    walls: dict[str, list[float]] = {name: [] for name in commands}
    cpus: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, words in commands.items():
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(words, stdout=subprocess.DEVNULL, check=False, env=environment)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            walls[name].append(time.perf_counter() - began)
            cpus[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {name: (statistics.median(walls[name]), statistics.median(cpus[name])) for name in commands}


def _unfinished_bundle(model: Path, n: int) -> Path:
    """Return a well-formed, signed bundle whose examples are their own seeds: it opens like any other."""
    from onnxfp.api.base_model import base_model
    from onnxfp.bundle.fingerprint import sign_fingerprint
    from onnxfp.bundle.manifest import SCHEMA, CopyParity, Manifest
    from onnxfp.model.onnx_file import read_onnx
    from onnxfp.recipe.defaults import RecipeOverrides, choose_recipe
    from onnxfp.recipe.derivation import DerivationContext, derive_labels, derive_seeds
    from onnxfp.runtime.session import ModelSession
    from onnxfp.trust.keys import generate_key_pair, open_signer, signer_public_key
    from onnxfp.types import InputGrid

    file, grid = read_onnx(model), InputGrid()
    base = base_model(ModelSession(file, execution=Execution("cpu", limits=None)))
    recipe = choose_recipe(RecipeOverrides(), grid, base.input.shape, base.spatial_axes, base.n_classes)
    # Other defaults, another bundle.
    path = CACHE / f"{model.stem}-{recipe.kind}-{recipe.spectrum}-{n}.fp.npz"
    if path.exists():
        return path
    with tempfile.TemporaryDirectory() as folder:
        generate_key_pair(Path(folder) / "key.pem")
        signer = open_signer(Path(folder) / "key.pem")
    public = signer_public_key(signer)
    context = DerivationContext(public, file.digest, base.input.shape, base.spatial_axes, base.n_classes, grid, recipe)
    indices = np.arange(n)
    manifest = Manifest(
        schema=SCHEMA,
        created="2026-01-01T00:00:00Z",
        public_key=public,
        base=base,
        grid=grid,
        recipe=recipe,
        n_examples=n,
        n_candidates=n,
        references=(),
        copy_parity=CopyParity(0.0, 0, n),
        versions=(),
    )
    fingerprint = sign_fingerprint(
        derive_seeds(context, indices), derive_labels(context, indices), indices, manifest, signer
    )
    CACHE.mkdir(parents=True, exist_ok=True)
    fingerprint.save(path)
    return path


def _small(side: int) -> Path:
    """Return an ONNX file of a small convolutional network on images of one side."""
    features = [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU()]
    return _exported(f"side{side}", nn.Sequential(*features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)), side)  # fmt: skip  # noqa: E501


def _wide(width: int) -> Path:
    """Return an ONNX file of three linear layers; 8192 has 140 million parameters or so."""
    layers = [nn.Flatten(), nn.Linear(3 * 1024, width), nn.ReLU(), nn.Linear(width, width * 3 // 2), nn.ReLU()]
    return _exported(f"wide{width}", nn.Sequential(*layers, nn.Linear(width * 3 // 2, 10)), 32)


def _exported(name: str, network: nn.Module, side: int) -> Path:
    from models import onnx_files

    path = CACHE / f"{name}.onnx"
    if not path.exists():
        torch.manual_seed(0)
        onnx_files.export(OnImages(network).eval(), path, shape=(3, side, side))
    return path


class OnImages(nn.Module):
    """Layers in a row, with the name for their input that the exporter is told."""

    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return ``(n, n_classes)`` scores of ``(n, 3, side, side)`` images."""
        scores: torch.Tensor = self.layers(image)
        return scores


os.environ.setdefault("PYTHONPATH", str(ROOT))

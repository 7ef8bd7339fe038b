"""The parts of the speed benchmark that are measured as processes of their own, by wall time, CPU time and memory."""

from __future__ import annotations

import json
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

import numpy as np
import torch
from torch import nn

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

# Crafts n examples by few steps and prints seconds and the growth of the peak, in bytes, from the moment it begins.
CRAFT = """
import json, resource, sys, time
sys.path[:0] = [{here!r}, {models!r}]
from pathlib import Path
import torch
torch.set_num_threads(1)
from speed import Bench
bench = Bench(Path(sys.argv[1]), torch.device("cpu"), sys.argv[2], n=int(sys.argv[3]), n_steps=int(sys.argv[4]))
size = bench.session.batch_size
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
def now(): return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
before, began, used = now(), time.perf_counter(), time.process_time()
bench.craft(size)
print(json.dumps([time.process_time() - used, max(peak() - before, 0), sum(
    w.numel() for w in bench.source._copy.parameters())]))
"""


def verification(_: torch.device) -> list[Row]:
    """Section 4: ``onnxfp verify`` against a script that does nothing but ask."""
    import imagenet

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
            rows.append((f"{name}: verify / bare script, {what}", f"{ratio:.2f}", "" if number else target,
                         f"whole processes, in one of its own; bare {found['bare'][number]:.2f} s"))  # fmt: skip
        print(rows[-2:], flush=True)
    seconds = _compare_processes({"help": [sys.executable, "-m", "onnxfp", "--help"]})["help"][1]
    rows.append(("onnxfp --help, CPU time", f"{seconds:.2f} s", "0.3 s", "whole process"))
    return [*rows, *_opening()]


def _opening() -> list[Row]:
    import onnxfp
    from onnxfp.bundle.archive import read_bundle

    rows: list[Row] = []
    for name, bundle in (
        ("white seeds, 32 x 32", _unfinished_bundle(ROOT / "models" / "base.onnx", 5000)),
        ("pink seeds, 224 x 224", _unfinished_bundle(ROOT / ".cache/imagenet/mobilenet_v2.onnx", 100)),
    ):
        times: dict[str, list[float]] = {"copy": [], "read": [], "load": []}
        content = bundle.read_bytes()
        for _ in range(5):
            for what, call in (
                ("copy", lambda c=content: bytearray(c)),
                ("read", lambda b=bundle: read_bundle(b)),
                ("load", lambda b=bundle: onnxfp.load(b)),
            ):  # type: ignore[misc]
                began = time.process_time()
                call()
                times[what].append(time.process_time() - began)
        rate = {what: len(content) / statistics.median(values) / 2**20 for what, values in times.items()}
        rows.append((f"opening a bundle, {name}: MB/s of CPU time",
                     f"{rate['read']:.0f} read and checked, {rate['load']:.0f} derived again as well",
                     f"{rate['copy']:.0f} (a copy in memory)", f"{len(content) / 2**20:.0f} MB"))  # fmt: skip
    return rows


def scale(_: torch.device) -> list[Row]:
    """Section 5: how cost grows with examples, image side and parameters; memory."""
    rows: list[Row] = []
    base = ROOT / "models" / "base.onnx"
    series: list[tuple[str, list[tuple[float, Path, int]], int]] = [
        ("n examples", [(n, base, n) for n in (100, 1000, 10_000)], 1),
        ("pixels", [(side**2, _small(side), 8) for side in (32, 64, 128, 256, 512)], 2),
        ("parameters", [(0, _wide(width), 8) for width in (128, 512, 2048, 8192)], 2),
    ]
    for name, points, n_steps in series:
        measured = []
        for size, path, n in points:
            kind = "rc" if name == "parameters" else "ltrc"
            runs = [_craft(path, kind, n, n_steps) for _ in range(1 if n > _MANY else 3)]
            seconds, growth = (statistics.median(run[k] for run in runs) for k in (0, 1))
            measured.append((float(size or runs[0][2]), seconds, growth))
            print(name, measured[-1], flush=True)
        slope = _slope([m[0] for m in measured], [m[1] for m in measured])
        ends = f"{measured[0][0]:,.0f} to {measured[-1][0]:,.0f}"
        rows.append((f"crafting time against {name}: exponent", f"{slope:.2f}", "1 or less", ends))
        memory = ", ".join(f"{m[2] / 2**20:.0f}" for m in measured)
        target = "" if name == "parameters" else "300, flat" if name == "n examples" else "300"
        rows.append((f"peak beyond the model's own against {name}: MB", memory, target, ends))
    return [*rows, *_noise()]


def _noise() -> list[Row]:
    """Weight noise against the pass that it perturbs, on VGG-16 (138 M parameters)."""
    import speed

    from onnxfp.examples.weight_noise import WeightNoise

    bench = speed.Bench(speed.network("vgg16")[1], torch.device("cpu"), "c", n=1, n_steps=1)
    noise = WeightNoise(list(bench.source._copy.weights().values()), 0.05, torch.Generator().manual_seed(0))

    def draw() -> None:
        with noise.perturbed():
            pass

    found = speed.compare({"noise": draw, "pass": bench.floor})
    ratio = found["noise"] / found["pass"]
    return [("weight noise of VGG-16 / the pass it perturbs", f"{ratio:.3f}", "0.2", "138 M parameters, 1 example")]


def _slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the exponent of the power law through the points, by least squares on logarithms."""
    return float(np.polyfit([log(s) for s in sizes], [log(v) for v in values], 1)[0])


def _craft(path: Path, kind: str, n: int, n_steps: int) -> list[float]:
    script = CRAFT.format(here=str(HERE), models=str(ROOT / "models"))
    words = [sys.executable, "-c", script, str(path), kind, str(n), str(n_steps)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _compare_processes(commands: dict[str, list[str]], repeats: int = 5) -> dict[str, tuple[float, float]]:
    """Return the median wall and CPU seconds of each command, run in turn."""
    walls: dict[str, list[float]] = {name: [] for name in commands}
    cpus: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, words in commands.items():
            before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
            subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            walls[name].append(time.perf_counter() - began)
            cpus[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {name: (statistics.median(walls[name]), statistics.median(cpus[name])) for name in commands}


def _unfinished_bundle(model: Path, n: int) -> Path:
    """Return a well-formed, signed bundle whose examples are their own seeds: it opens like any other."""
    path = CACHE / f"{model.stem}-{n}.fp.npz"
    if path.exists():
        return path
    from onnxfp import api
    from onnxfp.base.onnx_file import read_onnx
    from onnxfp.base.session import ModelSession
    from onnxfp.bundle.fingerprint import sign_fingerprint
    from onnxfp.bundle.keys import generate_key_pair
    from onnxfp.bundle.manifest import SCHEMA, CopyParity, Manifest
    from onnxfp.examples.defaults import Choices, choose_recipe
    from onnxfp.examples.derivation import DerivationContext, derive_labels, derive_seeds
    from onnxfp.types import InputGrid

    file, grid = read_onnx(model), InputGrid()
    base = api._base_model(ModelSession(file, provider="cpu"))
    recipe = choose_recipe(Choices(), grid, base.input.shape, base.spatial_axes, base.n_classes)
    with tempfile.TemporaryDirectory() as folder:
        generate_key_pair(Path(folder) / "key.pem")
        signer = api.open_signer(Path(folder) / "key.pem")
    public = api.public_key_of(signer)
    context = DerivationContext(public, file.digest, base.input.shape, base.spatial_axes, base.n_classes, grid, recipe)
    indices = np.arange(n)
    manifest = Manifest(
        schema=SCHEMA, created="2026-01-01T00:00:00Z", public_key=public, base=base, grid=grid, recipe=recipe,
        n_examples=n, n_candidates=n, references=(), copy_parity=CopyParity(0.0, 0, n), versions=(),
    )  # fmt: skip
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
    import onnx_files

    path = CACHE / f"{name}.onnx"
    if not path.exists():
        torch.manual_seed(0)
        onnx_files.export(network.eval(), path, shape=(3, side, side))
    return path


os.environ.setdefault("PYTHONPATH", str(ROOT))

"""How fast onnxfp is, as ratios: against the bare passes it cannot do without, against its peers, against the runtime.

    make benchmark-speed

Writes benchmarks/SPEED.md. Each pair runs interleaved and gives the ratio of its medians: on a machine that others
share, times mean nothing and ratios of neighbours something. ``--only SECTION`` measures one section again and keeps
the others' rows; ``--device cuda`` computes gradients on a GPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import onnxfp
from benchmarks import imagenet, speed_processes
from benchmarks.speed_peers import peers
from benchmarks.tables import kept_section
from models import networks, onnx_files
from onnxfp import Execution
from onnxfp.crafting import descent
from onnxfp.crafting.loop import craft_examples
from onnxfp.crafting.sources import CopySource
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples, choose_recipe
from onnxfp.recipe.derivation import DerivationContext, derive_labels, derive_seeds
from onnxfp.runtime.session import ModelSession, open_unoptimised
from onnxfp.types import InputGrid, Kind, Labels, Levels

HERE = Path(__file__).parent

CACHE = HERE.parent / ".cache" / "speed"
TABLE = HERE / "SPEED.md"
DEVICES = ("cpu", "cuda")
REPEATS = 5
NEVER = 10**9
N_FEW = choose_n_examples(10)

Row = tuple[str, str, str, str]
"""What, its ratio or figure, the target, and in what sizes."""


def vgg16() -> nn.Module:
    """Return VGG-16 (138 M parameters, arXiv:1409.1556) with random weights."""
    layers: list[nn.Module] = []
    n_in = 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(n_in, width, 3, padding=1), nn.ReLU(inplace=True)]
            n_in = width
        layers.append(nn.MaxPool2d(2))
    head = [nn.Flatten(), nn.Linear(512 * 49, 4096), nn.ReLU(True), nn.Linear(4096, 4096), nn.ReLU(True)]
    return speed_processes.OnImages(nn.Sequential(*layers, *head, nn.Linear(4096, 1000)))


def network(name: str) -> tuple[nn.Module, Path, int]:
    """Return a network in torch with frozen weights, its ONNX file, and the side of its images."""
    torch.manual_seed(0)
    if name in imagenet.NAMES:
        native, path = imagenet.native(name), imagenet.build(name)
    else:
        native, path = {"cifar10_vgg": networks.vgg, "vgg16": vgg16}[name]().eval(), CACHE / f"{name}.onnx"
        if not path.exists():
            onnx_files.export(native, path, shape=(3, 32, 32) if name == "cifar10_vgg" else (3, 224, 224))
    return native.requires_grad_(False), path, 32 if name == "cifar10_vgg" else 224


def model_file(name: str) -> Path:
    """Return the ONNX file of a network, or of the base of models/."""
    return HERE.parent / "models" / "base.onnx" if name == "cifar10_base" else network(name)[1]


def compare(calls: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict[str, float]:
    """Return the median seconds of each call; one of each is made in turn, after one of each that does not count.

    Seconds of the processor where there is one thread: those do not pass while others have it.
    """
    is_alone = torch.get_num_threads() == 1 and not torch.cuda.is_available()
    clock = time.process_time if is_alone else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for repeat in range(repeats + 1):
        for name, call in calls.items():
            began = clock()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if repeat:
                seconds[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def bare_pass(score: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, size: int) -> None:
    """Compute input gradients and nothing else, ``size`` examples at once."""
    for part, goal in zip(x.split(size), y.split(size), strict=True):
        point = part.detach().requires_grad_(True)
        torch.autograd.grad(F.cross_entropy(score(point), goal, reduction="sum"), point)


class Bench:
    """One model, ready to craft on and to compare with its bare passes."""

    def __init__(self, path: Path, device: torch.device, kind: str, *, n: int, n_steps: int, n_draws: int = 1) -> None:
        self.session = ModelSession(read_onnx(path), execution=Execution("cpu", limits=None))
        shape, n_classes = self.session.input.shape, self.session.output.n_classes or 2
        choices = RecipeOverrides(kind=kind, n_steps=n_steps, n_draws=n_draws)  # type: ignore[arg-type]
        recipe = choose_recipe(choices, InputGrid(), shape, (1, 2), n_classes)
        self.context = DerivationContext("00" * 32, "sha256:x", shape, (1, 2), n_classes, InputGrid(), recipe)
        probes = InputGrid().to_model_input(derive_seeds(self.context, range(3)))
        self.source = CopySource(self.session, open_unoptimised(self.session), probes, device)
        self.n, self.n_steps, self.n_draws, self.device = n, n_steps, n_draws, device
        self.x = torch.rand(n, *shape, device=device)
        self.y = torch.randint(0, n_classes, (n,), device=device)

    def craft(self, batch_size: int | None = None, steps: list[tuple[int, float]] | None = None) -> None:
        """Craft ``n`` examples as ``generate`` does, whatever becomes of them.

        Args:
            batch_size: Largest number of candidates at once; ``n`` by default.
            steps: Where the number of examples and the seconds of every gradient go.
        """
        asked = 0

        def rescore(levels: Levels) -> Labels:
            nonlocal asked
            self.session.answer(InputGrid().to_model_input(levels))
            asked += len(levels)
            return derive_labels(self.context, range(asked - len(levels), asked))

        gradient = self.source.gradient(self.context, gives_probabilities=False)

        def timed(examples: Tensor, labels: Tensor, noise: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            began = time.process_time()
            found = gradient(examples, labels, noise, generator)
            if steps is not None:
                steps.append((len(examples), time.process_time() - began))
            return found

        size = batch_size or self.n
        for _ in craft_examples(self.context, timed, rescore, n_examples=self.n, batch_size=size, device=self.device):
            pass

    def floor(self, size: int | None = None) -> None:
        """Compute as many input gradients as full steps take, on the same copy."""
        for _ in range(self.n_steps * self.n_draws):
            bare_pass(self.source._copy.score, self.x, self.y, size or self.source.passes.n_examples)


def generation(device: torch.device) -> list[Row]:
    """Section 1: crafting against its bare passes."""
    rows: list[Row] = []
    cases = [
        *(("cifar10_base", kind, 1, 8, 20) for kind in get_args(Kind)),
        ("cifar10_base", "rc", 4, 8, 20),
        *((name, kind, 1, 4, 50) for name in ("mobilenet_v2", "efficientnet_lite0") for kind in get_args(Kind)),
        *((name, "rc", 4, 4, 12) for name in ("mobilenet_v2", "efficientnet_lite0")),
        *(("vgg16", kind, 1, 2, 10) for kind in get_args(Kind)),
        ("vgg16", "rc", 4, 2, 5),
    ]
    targets = {"c": "1.05", "rc": "1.10", "ltrc": "1.15", "eot": ""}
    for name, kind, q, n, n_steps in cases:
        bench = Bench(model_file(name), device, kind, n=n, n_steps=n_steps, n_draws=q)
        steps, descent.SETTLED_STEPS = descent.SETTLED_STEPS, NEVER
        found = compare({"craft": bench.craft, "floor": bench.floor})
        descent.SETTLED_STEPS = steps
        ratio = found["craft"] / found["floor"]
        rows.append(
            (
                f"{kind} q={q}, {name}: craft / bare passes",
                f"{ratio:.2f}",
                targets[kind],
                f"{n} examples, {n_steps} steps",
            )
        )
        print(rows[-1], flush=True)
    return [*rows, *_pass_sizes(device), *_settling(device)]


def _pass_sizes(device: torch.device) -> list[Row]:
    """Compare a pass of the size that is found with the best of all sizes, for one example."""
    rows: list[Row] = []
    for name, most in (("cifar10_base", 256), ("mobilenet_v2", 16), ("efficientnet_lite0", 16), ("vgg16", 4)):
        bench = Bench(model_file(name), device, "c", n=most, n_steps=1)
        found = min(bench.source.passes.n_examples, most)
        sizes = sorted({found, *(size for size in (1, 2, 4, 8, 16, 32, 64, 128, 256) if size <= most)})
        seconds = compare({str(size): partial(bench.floor, size) for size in sizes}, 3)
        best = min(sizes, key=lambda size: seconds[str(size)])
        ratio = seconds[str(found)] / seconds[str(best)]
        rows.append(
            (
                f"{name}: passes of {found}, as found / passes of {best}, the best of all",
                f"{ratio:.2f}",
                "",
                f"{most} examples",
            )
        )
        print(rows[-1], flush=True)
    return rows


def _settling(device: torch.device) -> list[Row]:
    """Compare the time to n finished examples with full steps, and with settled examples that are replaced at once."""
    path = model_file("cifar10_base")
    bench = Bench(path, device, "ltrc", n=16, n_steps=50)
    found = compare({"craft": bench.craft, "floor": bench.floor})
    ratio = found["craft"] / found["floor"]
    rows = [
        (
            "ltrc, cifar10_base: time to n finished / bare passes of full steps",
            f"{ratio:.2f}",
            "below 1",
            "16 examples, at most 50 steps",
        )
    ]
    bench = Bench(path, device, "ltrc", n=N_FEW, n_steps=50)
    steps: list[tuple[int, float]] = []
    began = time.process_time()
    bench.craft(bench.session.batch_size, steps)
    total = time.process_time() - began
    # Batches that are never short of examples cost what the fullest half of these steps cost an example.
    full = max(size for size, _ in steps) / 2
    each = statistics.median(seconds / size for size, seconds in steps if size >= full)
    replaced = total - sum(seconds for _, seconds in steps) + each * sum(size for size, _ in steps)
    rows.append(
        (
            "ltrc, cifar10_base: the same if new candidates replaced the settled at once / as it is",
            f"{replaced / total:.2f}",
            "",
            f"{N_FEW} examples, {len(steps)} steps, computed",
        )
    )
    print(rows, flush=True)
    return rows


def against_peers(device: torch.device) -> list[Row]:
    """Section 2: the same targeted attack by others, on the network in torch that the ONNX file was exported from."""
    rows: list[Row] = []
    for name, n, n_steps in (("cifar10_vgg", 8, 20), ("mobilenet_v2", 4, 20)):
        native, path, _ = network(name)
        bench = Bench(path, device, "c", n=n, n_steps=n_steps)
        recipe = bench.context.recipe
        attacks = peers(
            native.to(device),
            bench.x,
            bench.y,
            epsilon=recipe.epsilon_levels / 255,
            step=recipe.step_size,
            steps=n_steps,
            n_classes=bench.context.n_classes,
        )
        steps, descent.SETTLED_STEPS = descent.SETTLED_STEPS, NEVER
        found = compare({"onnxfp": bench.craft, **attacks})
        descent.SETTLED_STEPS = steps
        best = min(seconds for peer, seconds in found.items() if peer != "onnxfp")
        for peer in attacks:
            target = "1.3 or more" if found[peer] == best else ""
            rows.append(
                (
                    f"{name}: {peer} / onnxfp, kind c",
                    f"{found[peer] / found['onnxfp']:.2f}",
                    target,
                    f"{n} examples, {n_steps} steps",
                )
            )
            print(rows[-1], flush=True)
    return rows


def torch_copy(device: torch.device) -> list[Row]:
    """Section 3: the copy against the network as its owner wrote it in torch, in its better memory format."""
    rows: list[Row] = []
    for name, n in (("cifar10_vgg", 32), ("mobilenet_v2", 2), ("efficientnet_lite0", 2)):
        native, path, _ = network(name)
        native = native.to(device)
        last = network(name)[0].to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        bench = Bench(path, device, "c", n=n, n_steps=1)
        x, y = bench.x, bench.y
        x_last = x.contiguous(memory_format=torch.channels_last)
        calls: dict[str, Callable[[], object]] = {
            "copy": partial(bare_pass, bench.source._copy.score, x, y, n),
            "native": partial(bare_pass, native, x, y, n),
            "channels last": partial(bare_pass, last, x_last, y, n),
        }
        found = compare(calls)
        ratio = found["copy"] / min(found["native"], found["channels last"])
        rows.append((f"{name}: copy / native", f"{ratio:.2f}", "1.10", f"forward and backward, {n} examples"))
        print(rows[-1], flush=True)
    return rows


SECTIONS: dict[str, tuple[str, Callable[[torch.device], list[Row]]]] = {
    "generation": ("Generation against bare forward and backward passes of the same copy", generation),
    "peers": ("The same attack by others: how many times as long it takes them", against_peers),
    "copy": ("The torch copy against the network in torch", torch_copy),
    "verification": ("Verification, as whole processes", speed_processes.verification),
    "scale": ("Scale", speed_processes.scale),
}


def write(measured: dict[str, list[Row]], device: str) -> None:
    """Write SPEED.md from the rows of every section that was measured, and what it says of the others.

    Args:
        measured: Rows by section.
        device: What they were measured on.
    """
    versions = f"onnxfp {onnxfp.__version__}, torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    machine = f"{os.cpu_count()} cores, {torch.get_num_threads()} thread(s) of torch"
    lines = [f"Written by `make benchmark-speed` ({versions}, numpy {np.__version__}; {machine})."]
    for (name, (title, _)), where in product(SECTIONS.items(), DEVICES):
        heading = f"## {title} ({where})"
        if name in measured and where == device:
            lines += ["", heading, "", "| what | figure | target | sizes |"]
            lines += ["|---|---|---|---|", *("| " + " | ".join(row) + " |" for row in measured[name])]
        elif kept := kept_section(TABLE, heading):
            lines += ["", kept]
    text = (HERE / "speed_text.md").read_text(encoding="utf-8")
    TABLE.write_text(text.replace("{table}", "\n".join(lines)), encoding="utf-8")


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=SECTIONS, action="append", help="Measure this section. Repeatable.")
    parser.add_argument("--device", default="cpu", choices=DEVICES)
    # Two threads that wait for each other measure the neighbours of a shared machine.
    parser.add_argument("--threads", type=int, default=1, help="Threads of torch [default: 1].")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.only or SECTIONS:
        # Written after each, so that an interrupted run loses one section alone.
        write({name: SECTIONS[name][1](torch.device(arguments.device))}, arguments.device)


if __name__ == "__main__":
    main()

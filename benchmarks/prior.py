"""Measure how often siblings of a base match its fingerprint, and write it down as the prior of the null rate.

    make benchmark-prior

A sibling has the base's architecture and training images and another seed: the unassociated model that matches most.
Every network in turn is the base of a fingerprint with the default hyper-parameters of each kind, and all others are
asked. The worst count goes into onnxfp/evidence/priors.json, all counts into benchmarks/PRIOR.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import onnxruntime
import torch

import onnxfp
from onnxfp.base.onnx_file import read_onnx
from onnxfp.base.session import ModelSession
from onnxfp.evidence.statistics import count_matches
from onnxfp.examples.defaults import Choices
from onnxfp.types import Kind

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "models"))

import onnx_files  # noqa: E402

import build  # noqa: E402 - models/build.py, which trains the siblings

SIBLINGS = ["base", "vgg_seed2", "vgg_seed3", *(f"vgg_seed{seed}" for seed in range(21, 38))]
N_EXAMPLES = 100
PRIORS = HERE.parent / "onnxfp" / "evidence" / "priors.json"
TEXT = """\
# How often siblings match

Written by `make benchmark-prior` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

{n} networks of one architecture (`vgg` in models/networks.py), trained on CIFAR-10 with different seeds. Each row is a
base with a fingerprint of {examples} examples, made with the default hyper-parameters; each column a sibling that was
asked. The worst count of a kind is its prior in `onnxfp/evidence/priors.json`.

"""


def measure(kind: Kind, files: list[Path]) -> np.ndarray:
    """Return ``(n, n)`` match counts: row the base, column the suspect."""
    counts = np.zeros((len(files), len(files)), np.int64)
    sessions = [ModelSession(read_onnx(file), provider="cpu") for file in files]
    for row, file in enumerate(files):
        fingerprint = onnxfp.generate(file, n_examples=N_EXAMPLES, choices=Choices(kind=kind), device="cpu")
        for column, session in enumerate(sessions):
            counts[row, column] = count_matches(fingerprint.labels, session.answer(fingerprint.model_input()).labels)
        print(kind, file.stem, *counts[row], file=sys.stderr)
    return counts


def main() -> None:
    """Train what is missing, measure, write both files."""
    parser = argparse.ArgumentParser(description="Measure the prior of the null rate.")
    parser.add_argument("--train-only", action="store_true", help="only train the siblings")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    networks = {name: build.scratch(name) for name in SIBLINGS}
    if arguments.train_only:
        return
    numbers = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    text = TEXT.format(n=len(SIBLINGS), examples=N_EXAMPLES, **numbers)
    priors = [entry for entry in json.loads(PRIORS.read_text(encoding="utf-8"))["priors"] if entry["least_classes"] > 2]
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{name}.onnx" for name in SIBLINGS]
        for file, network in zip(files, networks.values(), strict=True):
            onnx_files.export(network, file)
        for kind in get_args(Kind):
            counts = measure(kind, files)
            off = counts[~np.eye(len(files), dtype=bool)]
            text += f"## {kind}\n\nmean {off.mean():.1f}, standard deviation {off.std():.1f}, worst {off.max()}\n\n"
            text += "| base | " + " | ".join(SIBLINGS) + " |\n" + "|---" * (len(SIBLINGS) + 1) + "|\n"
            for name, row in zip(SIBLINGS, counts, strict=True):
                text += f"| {name} | " + " | ".join(map(str, row)) + " |\n"
            text += "\n"
            source = f"worst of {off.size} pairs of CIFAR-10 siblings, benchmarks/PRIOR.md"
            entry = {
                "kind": kind,
                "spectrum": "white",
                "most_epsilon": 16 / 255,
                "least_classes": 2,
                "most_classes": 100,
            }
            entry["source"] = source
            priors.append({**entry, "n_matches": int(off.max()), "n_examples": N_EXAMPLES})
    priors.sort(key=lambda entry: (entry["least_classes"], entry["kind"]))
    (HERE / "PRIOR.md").write_text(text.rstrip() + "\n", encoding="utf-8")
    PRIORS.write_text(json.dumps({"priors": priors}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""How the defaults of ``generate`` were chosen: arms of hyper-parameters against thefts and independent models.

    make benchmark-defaults

Fingerprints of models/base.onnx, matched by every model in models/; writes benchmarks/DEFAULTS.md.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import onnxruntime
import torch

import onnxfp
from onnxfp.base.onnx_file import read_onnx
from onnxfp.base.session import ModelSession
from onnxfp.bundle.keys import generate_key_pair
from onnxfp.evidence.statistics import count_matches
from onnxfp.examples.defaults import Choices
from onnxfp.types import Kind, Spectrum

HERE = Path(__file__).parent
MODELS = HERE.parent / "models"
STOLEN = ("pruned", "pruned_finetuned", "finetuned", "int8")
INDEPENDENT = ("vgg_seed2", "vgg_seed3", "resnet", "mobilenet", "wide_vgg")
SEEDS = (0, 1, 2)
# Kind, epsilon in 1/255, cutoff, weight noise, spectrum.
ARMS: tuple[tuple[Kind, int, int | None, float | None, Spectrum], ...] = (
    ("c", 8, None, None, "white"),
    ("c", 16, None, None, "white"),
    ("rc", 8, None, 0.05, "white"),
    ("rc", 12, None, 0.05, "white"),
    ("rc", 16, None, 0.05, "white"),
    ("rc", 16, None, 0.1, "white"),
    ("rc", 24, None, 0.05, "white"),
    ("ltrc", 12, 4, 0.05, "white"),
    ("ltrc", 16, 4, 0.05, "white"),
    ("ltrc", 16, 8, 0.05, "white"),
    ("ltrc", 16, 16, 0.05, "white"),
    ("ltrc", 16, 4, 0.05, "pink"),
)
TEXT = """\
# How the defaults were chosen

Written by `make benchmark-defaults` (onnxfp {onnxfp}, torch {torch}, onnxruntime {onnxruntime}).

Matches out of 100, as the mean over {n} seeds (each with a key of its own); for independent models the worst of five,
as the mean and the largest over seeds. Epsilon in units of 1/255, 50 steps of an eighth of it; k is the cutoff, delta
the weight noise; *candidates* were tried for 100 examples. *Uniqueness* is the worst theft's mean minus the worst
independent's.

"""


def measure(choices: Choices, sessions: dict[str, ModelSession]) -> tuple[dict[str, int], int]:
    """Return matches by model, and the number of candidates."""
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key.pem"
        generate_key_pair(key)
        fingerprint = onnxfp.generate(MODELS / "base.onnx", choices=choices, key=key, device="cpu")
    inputs = fingerprint.model_input()
    counts = {name: count_matches(fingerprint.labels, s.answer(inputs).labels) for name, s in sessions.items()}
    return counts, fingerprint.manifest.n_candidates


def main() -> None:
    """Measure every arm and write the table."""
    folders = {**dict.fromkeys(STOLEN, "stolen"), **dict.fromkeys(INDEPENDENT, "independent")}
    sessions = {
        name: ModelSession(read_onnx(MODELS / folder / f"{name}.onnx"), provider="cpu")
        for name, folder in folders.items()
    }
    lines = [
        "| kind | epsilon | k | delta | seeds | "
        + " | ".join(STOLEN)
        + " | independent, mean | largest | uniqueness | "
        "candidates | s |",
        "|---" * (11 + len(STOLEN) - 1) + "|",
    ]
    for kind, epsilon, cutoff, noise, spectrum in ARMS:
        began, runs, tried = time.monotonic(), [], []
        for seed in SEEDS:
            choices = Choices(kind, spectrum, epsilon / 255, noise=noise, cutoff=cutoff, seed=seed)
            counts, n_candidates = measure(choices, sessions)
            runs.append(counts)
            tried.append(n_candidates)
        thefts = [sum(run[name] for run in runs) / len(runs) for name in STOLEN]
        worst = [max(run[name] for name in INDEPENDENT) for run in runs]
        unique = min(thefts) - sum(worst) / len(worst)
        cells = [kind, str(epsilon), str(cutoff or ""), str(noise or ""), spectrum, *(f"{t:.0f}" for t in thefts)]
        cells += [f"{sum(worst) / len(worst):.0f}", str(max(worst)), f"{unique:.0f}"]
        cells += [f"{sum(tried) / len(tried):.0f}", f"{(time.monotonic() - began) / len(SEEDS):.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], file=sys.stderr, flush=True)
    numbers = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    (HERE / "DEFAULTS.md").write_text(TEXT.format(n=len(SEEDS), **numbers) + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

"""What onnxfp does, on the models in this folder: ``make demo``.

Runs the commands that a user would type, shows them with their output, and ends with a table of verdicts. Leaves with
an error if a verdict is not the right one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
OUTPUT = HERE.parent / "demo"

SUSPECTS = {
    "stolen/laundered.onnx": "MATCH",
    "stolen/int8.onnx": "MATCH",
    "stolen/fp16.onnx": "MATCH",
    "stolen/pruned.onnx": "MATCH",
    "stolen/finetuned.onnx": "MATCH",
    "stolen/pruned_finetuned.onnx": "MATCH",
    "independent/vgg_seed2.onnx": "NO_MATCH",
    "independent/vgg_seed3.onnx": "NO_MATCH",
    "independent/resnet.onnx": "NO_MATCH",
    "independent/mobilenet.onnx": "NO_MATCH",
    "independent/wide_vgg.onnx": "NO_MATCH",
}


def onnxfp(*words: str, show: bool = True) -> str:
    """Run one command from the repository's root and return its stdout."""
    if show:
        print(f"\n$ onnxfp {' '.join(words)}", flush=True)
    environment = {**os.environ, "ONNXFP_HOME": str(OUTPUT / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "onnxfp", *words],
        cwd=HERE.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 10, 11):
        sys.exit(done.returncode)
    if show:
        print(done.stdout, end="", flush=True)
    return done.stdout


def main() -> None:
    """Generate, verify, tell."""
    OUTPUT.mkdir(exist_ok=True)
    bundle = "demo/base.fp.npz"
    began = time.monotonic()
    onnxfp("generate", "models/base.onnx", "-o", bundle, "--from-scratch", "--force")
    seconds = time.monotonic() - began
    onnxfp("inspect", bundle, "--image", "demo/examples.png")
    onnxfp("verify", "models/stolen/pruned.onnx", bundle)
    onnxfp("verify", "models/independent/vgg_seed2.onnx", bundle)
    print(f"\nAll suspects (the fingerprint took {seconds:.0f} s):\n")
    print(f"{'suspect':<30} {'match rate':>10} {'p-value':>9}  verdict")
    wrong = 0
    for name, expected in SUSPECTS.items():
        report = json.loads(onnxfp("verify", f"models/{name}", bundle, "--json", show=False))
        verdict, p_value = report["decision"]["verdict"], report["decision"]["p_value"]
        note = "" if verdict == expected else f"  (should be {expected})"
        wrong += verdict != expected
        print(f"{name:<30} {report['match_rate']:>10.0%} {p_value:>9.1e}  {verdict}{note}", flush=True)
    if wrong:
        sys.exit(f"{wrong} verdicts are wrong")


if __name__ == "__main__":
    main()

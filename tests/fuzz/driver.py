"""Fuzz every target for a given time: ``python -m tests.fuzz.driver --seconds 600 [NAME ...]``.

Each target runs in a process of its own and has an equal share of the time. Inputs that reached new code are kept in
``.cache/fuzz`` for the next run; an input that is a finding is saved in ``.cache/fuzz/findings``, named on stderr with
what it does, and makes the exit code 1. ``--replay FILE`` runs it again; its target is in its name.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.fuzz.limits import feed, limited_memory
from tests.fuzz.targets import REPOSITORY, TARGETS

CACHE = REPOSITORY / ".cache" / "fuzz"
FINDINGS = CACHE / "findings"

# A hang: what merely computes for more than a second is told by the target itself.
_HANG_SECONDS = 20


def main() -> int:
    """Fuzz, or replay one input; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=600, help="for all targets together")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="targets at a time")
    parser.add_argument(
        "--seed", type=int, default=0, help="of the fuzzer, so that a run can be had again; 0 draws one"
    )
    parser.add_argument("--replay", type=Path, help="give one saved input to its target, and nothing else")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(TARGETS)}; all by default")
    options = parser.parse_args()
    if options.replay:
        with limited_memory():
            feed(TARGETS[options.replay.name.partition("-")[0]].run, options.replay.read_bytes())
        return 0
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed: no coverage-guided fuzzing here, the seeded fuzzer alone", flush=True)
        return 0
    names = options.names or list(TARGETS)
    share = max(1, options.seconds * options.jobs // len(names))
    # In memory where there is such a folder: the targets write a file for each input.
    memory = Path("/dev/shm")
    with (
        TemporaryDirectory(prefix="onnxfp-fuzz-", dir=memory if memory.is_dir() else None) as folder,
        ThreadPoolExecutor(options.jobs) as pool,
    ):
        # A list, so that every target has its turn whatever the others found.
        results = list(pool.map(lambda name: fuzz(name, share, folder, options.seed), names))
    bad = [name for name, is_good in zip(names, results, strict=True) if not is_good]
    if bad:
        print(f"findings in: {', '.join(bad)}", file=sys.stderr)
    return 1 if bad else 0


def fuzz(name: str, seconds: int, folder: str, seed: int) -> bool:
    """Fuzz one target and say how it went.

    Args:
        name: The target.
        seconds: Time to fuzz it.
        folder: Where it may write.
        seed: The fuzzer's, or 0 for any.

    Returns:
        Whether nothing was found.
    """
    corpus = CACHE / name
    FINDINGS.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(exist_ok=True)
    largest = write_seeds(corpus, TARGETS[name].seeds())
    before = set(FINDINGS.iterdir())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.guided", name, str(corpus)),
            *(f"-max_total_time={seconds}", f"-timeout={_HANG_SECONDS}", f"-max_len={4 * largest}", "-rss_limit_mb=0"),
            *(f"-artifact_prefix={FINDINGS / name}-", "-use_value_profile=1", "-print_final_stats=1", "-verbosity=0"),
            f"-seed={seed}",
        ],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": folder},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    said = done.stdout + done.stderr
    runs = next((line.split()[-1] for line in said.splitlines() if "number_of_executed_units" in line), "0")
    print(
        f"fuzz {name}: {runs} inputs in {seconds} s, {'nothing found' if not done.returncode else 'FINDING'}",
        flush=True,
    )
    if done.returncode:
        new = sorted(set(FINDINGS.iterdir()) - before)
        if not new:
            print(said[-4000:], file=sys.stderr)
        for path in new:
            # libFuzzer does not say which exception it was; a second run does.
            again = [sys.executable, "-m", "tests.fuzz.driver", "--replay", str(path)]
            told = subprocess.run(again, cwd=REPOSITORY, capture_output=True, text=True, errors="replace", check=False)
            print(f"finding: {path.relative_to(REPOSITORY)} ({path.stat().st_size} bytes)", file=sys.stderr)
            print(told.stderr[-4000:] or "it does not fail when it is run alone", file=sys.stderr)
    return done.returncode == 0


def write_seeds(corpus: Path, seeds: Iterable[bytes]) -> int:
    """Put seeds beside what earlier runs left in a folder; return the length of the longest."""
    lengths = [1]
    for index, seed in enumerate(seeds):
        (corpus / f"seed-{index}").write_bytes(seed)
        lengths.append(len(seed))
    return max(lengths)


if __name__ == "__main__":
    sys.exit(main())

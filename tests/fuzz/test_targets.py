"""The fuzzers' targets themselves: real files pass, and so do random mutations of them; no atheris needed."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.fuzz import targets
from tests.fuzz.limits import TooSlowError, feed, limited_memory
from tests.fuzz.mutations import mutate, mutate_json
from tests.fuzz.targets import TARGETS

COUNT = int(os.environ.get("ONNXFP_MUTATIONS", "4000")) // 10


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "scratch", lambda: tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_takes_its_seeds_and_mutations_of_them(name: str) -> None:
    target, rng = TARGETS[name], random.Random(name)
    seeds = list(target.seeds())
    assert seeds
    for seed in seeds:
        feed(target.run, seed)
    with limited_memory():
        for _ in range(COUNT):
            seed = rng.choice(seeds)
            is_json = seed.startswith(b"{") and rng.random() < 0.5
            feed(target.run, mutate_json(seed, rng) if is_json else mutate(seed, rng))


def test_an_unexpected_exception_is_a_finding() -> None:
    with pytest.raises(ZeroDivisionError):
        feed(lambda content: print(1 / len(content)), b"")


def test_a_slow_input_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.fuzz.limits.SECONDS", 0.01)
    with pytest.raises(TooSlowError):
        feed(lambda content: print(sum(range(30_000_000))), b"")

"""Small real models, keys and fingerprints that many tests share, and the rules for markers and parallel runs.

Tests run in parallel with ``pytest -n 2`` (pytest-xdist). Each test has a folder and a home of its own. A fixture that
computes for seconds and whose outcome is only read is made once for all workers: see ``make_once``.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from filelock import FileLock
from securesystemslib.signer import CryptoSigner

import onnxfp
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.manifest import SCHEMA, BaseModel, CopyParity, Manifest
from onnxfp.evidence.null import NullRate
from onnxfp.evidence.statistics import clopper_pearson
from onnxfp.evidence.uniqueness import N_RESAMPLES, compare
from onnxfp.evidence.verdict import Counts, Policy, Verdict
from onnxfp.files import write_file
from onnxfp.recipe.defaults import RecipeOverrides
from onnxfp.recipe.derivation import derive_labels, derive_seeds
from onnxfp.recipe.recipe import Recipe
from onnxfp.report.evaluation import MAX_LOSS, Evaluation, Outcome, Role, Row, Summary, Usefulness
from onnxfp.report.parts import BundleRecord, Signer
from onnxfp.trust.keys import default_key_path, public_key_path, signer_public_key
from onnxfp.types import InputGrid, InputSpec, OutputSpec
from tests.builders import classifier

REPOSITORY = Path(__file__).parents[1]
MODELS = REPOSITORY / "models"

# A fixed key for tests: its private half is public, so it signs nothing of value.
TEST_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))

TESTS = Path(__file__).parent

# What `make test-quick` leaves out: the folders and files that compute most, and those that start many processes.
SLOW = (
    "browser",
    "fuzz",
    "golden",
    "hostile/test_allocation_storm.py",
    "hostile/test_authority_on_the_network.py",
    "hostile/test_bloated_json.py",
    "hostile/test_edited_attestation.py",
    "hostile/test_edited_report.py",
    "hostile/test_endless_loop.py",
    "hostile/test_false_answers.py",
    "hostile/test_family_of_processes.py",
    "hostile/test_flipped_byte.py",
    "hostile/test_malformed_tensors.py",
    "hostile/test_malformed_timestamps.py",
    "hostile/test_markup_in_names.py",
    "hostile/test_mutations.py",
    "hostile/test_painted_model.py",
    "hostile/test_protobuf_bomb.py",
    "hostile/test_reference_folder.py",
    "hostile/test_resigned_manifest.py",
    "hostile/test_zip_bomb.py",
    "integration",
    "parity/test_node_tests.py",
    "parity/test_origins.py",
    "property",
    "unit/api",
    "unit/crafting/test_loop.py",
    "unit/evidence/test_null.py",
    "unit/evidence/test_predictive.py",
    "unit/evidence/test_requirement.py",
    "unit/evidence/test_statistics.py",
    "unit/evidence/test_top_k.py",
    "unit/evidence/test_uniqueness.py",
    "unit/runtime",
    "unit/variants/test_training.py",
)


def pytest_configure(config: pytest.Config) -> None:
    """Keep every worker of a parallel run to one thread of torch: the workers start with this environment."""
    if getattr(config.option, "numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look for tests in files of tests alone: programs and modules beside them may need what is not installed."""
    return True if collection_path.suffix == ".py" and not collection_path.name.startswith("test_") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the folder or file that they are in."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        place = item.path.relative_to(TESTS)
        if place.parts[0] in ("browser", "hostile"):
            item.add_marker(place.parts[0])
        if place.name == "test_authority_on_the_network.py":
            item.add_marker("network")
        if any(place.is_relative_to(slow) for slow in SLOW):
            item.add_marker("slow")


def make_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """Return a folder that ``make`` fills once, also if several workers of a parallel run ask for it.

    Args:
        factory: pytest's maker of folders. In a worker of pytest-xdist its folder is beside those of the others.
        name: Name of the folder, unique in a run.
        make: Fills the folder. It runs in one worker, and the others wait.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder, done = shared / name, shared / f"{name}.done"
    with FileLock(shared / f"{name}.lock"):
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the keys and settings of whoever runs it."""
    monkeypatch.setenv("ONNXFP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ONNXFP_PASSPHRASE", raising=False)


@pytest.fixture(scope="session")
def models() -> Path:
    """The folder of trained models."""
    return MODELS


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., onnx.ModelProto]:
    """The maker of small classifiers."""
    return classifier


@pytest.fixture
def base_path(tmp_path: Path) -> Path:
    """A small base model in a file."""
    path = tmp_path / "base.onnx"
    path.write_bytes(classifier(seed=0).SerializeToString())
    return path


@pytest.fixture
def other_path(tmp_path: Path) -> Path:
    """An independent model for the same inputs and classes."""
    path = tmp_path / "other.onnx"
    path.write_bytes(classifier(seed=9).SerializeToString())
    return path


@pytest.fixture
def covered_path(tmp_path: Path) -> Path:
    """A base model of a size and with a number of classes that the prior covers."""
    return _write_covered(tmp_path / "base.onnx", seed=0)


@pytest.fixture
def covered_other_path(tmp_path: Path) -> Path:
    """A model independent of ``covered_path``, for the same inputs and classes."""
    return _write_covered(tmp_path / "other.onnx", seed=9)


def _write_covered(path: Path, seed: int) -> Path:
    """Write a classifier of ten classes for inputs of 16 x 16 pixels; its maxima of areas make it far from linear."""
    path.write_bytes(classifier(seed=seed, n_classes=10, shape=(3, 16, 16), pool="MaxPool").SerializeToString())
    return path


# The largest ball for which there is a prior; small steps lead the small classifiers to any label.
EASY = RecipeOverrides(kind="rc", spectrum="white", epsilon=16 / 255, n_steps=40, step_size=1 / 255, noise=0.01)


@pytest.fixture(scope="session")
def easy() -> RecipeOverrides:
    """Hyper-parameters with which the small classifiers take any label."""
    return EASY


@pytest.fixture(scope="session")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small base model and its fingerprint of 200 examples, really crafted, once for all tests that only read."""
    folder = make_once(tmp_path_factory, "crafted", _craft)
    return folder / "base.onnx", folder / "base.fp.npz"


def _craft(folder: Path) -> None:
    """Write a small base model and its fingerprint."""
    _write_covered(folder / "base.onnx", seed=0)
    # With this key and seed few candidates are lost (203 for 200); with some others so many that no count is a MATCH.
    (folder / "home").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONNXFP_HOME", str(folder / "home"))
        private = TEST_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_file(default_key_path(), private, mode=0o600)
        public = TEST_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        write_file(public_key_path(default_key_path()), public)
        onnxfp.generate(folder / "base.onnx", output=folder / "base.fp.npz", overrides=replace(EASY, seed=2))


@dataclass(frozen=True)
class Forge:
    """Signs whatever it is given: what an owner, or an accuser with a key of their own, can do."""

    signer: CryptoSigner

    @property
    def public_key(self) -> str:
        return signer_public_key(self.signer)

    def manifest(
        self, *, n_examples: int = 6, n_candidates: int = 8, shape: tuple[int, ...] = (3, 8, 8), schema: str = SCHEMA
    ) -> Manifest:
        """Return a manifest with plausible content."""
        return Manifest(
            schema=schema,
            created="2026-01-02T03:04:05Z",
            public_key=self.public_key,
            base=BaseModel(
                digest="sha256:" + "ab" * 32,
                n_classes=10,
                input=InputSpec("image", shape, "float32", "NCHW", None),
                output=OutputSpec("logits", "scores", 10),
                spatial_axes=(1, 2),
            ),
            grid=InputGrid(),
            recipe=Recipe("rc", "pink", 16, 50, 0.01, 0.05, 1, 0, "none", "copy", 3),
            n_examples=n_examples,
            n_candidates=n_candidates,
            references=(),
            copy_parity=CopyParity(1e-6, 0, 38),
            versions=(("onnxfp", "0.1.0"),),
        )

    def fingerprint(self, manifest: Manifest | None = None) -> Fingerprint:
        """Return a signed fingerprint whose derivation is right."""
        manifest = manifest or self.manifest()
        context = manifest.derivation_context()
        indices = np.arange(manifest.n_examples, dtype=np.int64)
        levels = derive_seeds(context, indices)
        return sign_fingerprint(levels, derive_labels(context, indices), indices, manifest, self.signer)

    def sign_again(self, fingerprint: Fingerprint, **changes: object) -> Fingerprint:
        """Return a changed fingerprint with a signature that is good for it."""
        changed = replace(fingerprint, **changes)  # type: ignore[arg-type]
        return sign_fingerprint(changed.levels, changed.labels, changed.indices, changed.manifest, self.signer)


@pytest.fixture(scope="session")
def forge() -> Forge:
    """A signer with a fixed test key, and what it takes to sign by hand."""
    return Forge(CryptoSigner(TEST_KEY))


ModelLine = tuple[str, Role, str, float | None, float | None, float]
"""Name, role, family, parameter, match rate (``None`` where it failed) and usefulness of one model."""

PRUNING = "magnitude pruning, global"
EVALUATED: tuple[ModelLine, ...] = (
    *(
        (f"prune-global-{s}", "variant", PRUNING, s, m, u)
        for s, m, u in ((0.2, 1.0, 0.86), (0.4, 1.0, 0.85), (0.6, 0.985, 0.82), (0.8, 0.905, 0.44))
    ),
    ("fp16", "variant", "number format", 16, 1.0, 0.86),
    ("int8-dynamic", "variant", "number format", 8, 1.0, 0.855),
    ("jpeg-75", "query", "JPEG of the input", 75, 0.71, 0.8),
    ("broken-graph", "variant", "laundering", None, None, 0.0),
    ("resnet", "reference", "unassociated", None, 0.165, 0.84),
    ("sibling", "reference", "unassociated", None, 0.285, 0.86),
)


def evaluation_of(
    fingerprint: Fingerprint, lines: tuple[ModelLine, ...] = EVALUATED, min_matches: int | None = 150
) -> Evaluation:
    """Return the record of an evaluation with these outcomes, whose numbers fit each other."""
    n, base_rate = fingerprint.n_examples, 0.86
    manifest = fingerprint.manifest
    rows = []
    for name, role, family, parameter, rate, useful in lines:
        outcome = None
        if rate is not None:
            k = round(rate * n)
            verdict = Verdict.MATCH if min_matches is not None and k >= min_matches else Verdict.NO_MATCH
            p_value, top5 = 1e-9 if verdict is Verdict.MATCH else 0.4, min(1.0, k / n + 0.2)
            interval = clopper_pearson(k, n, 0.95)
            outcome = Outcome(
                "sha256:" + "cd" * 32, Counts(k, n, n, n), k / n, interval, p_value, verdict, top5, useful
            )
        is_broken = role != "reference" and outcome is not None and base_rate - useful > MAX_LOSS
        rows.append(Row(name, role, family, parameter, outcome, is_broken, "" if outcome else "it failed", 1.0))
    variants = [row.outcome for row in rows if row.counts_as_variant and row.outcome]
    references = [row.outcome for row in rows if row.counts_as_reference and row.outcome]
    compared = compare([o.match_rate for o in variants], [o.match_rate for o in references])
    return Evaluation(
        signer=Signer(manifest.public_key, False, None),
        bundle=BundleRecord.of(fingerprint),
        suite="quick",
        usefulness=Usefulness("accuracy", "labelled data", 2000, base_rate, MAX_LOSS, "sha256:" + "ef" * 32),
        rows=tuple(rows),
        summary=Summary(
            n_variants=len(variants),
            n_references=len(references),
            n_broken=sum(row.is_broken for row in rows),
            n_failed=sum(row.outcome is None for row in rows),
            n_convicted=sum(o.verdict is Verdict.MATCH for o in variants),
            n_accused=sum(o.verdict is Verdict.MATCH for o in references),
            **{field.name: getattr(compared, field.name) for field in fields(compared)},
            confidence=0.95,
            n_resamples=N_RESAMPLES,
        ),
        owner_references=(),
        null=NullRate(0.257, 0.66, "7 CIFAR-10 siblings, each at its worst (benchmarks/PRIOR.md)"),
        min_matches=min_matches,
        policy=Policy(),
        versions=(("onnxfp", onnxfp.__version__),),
    )


@pytest.fixture(scope="session")
def make_evaluation() -> Callable[..., Evaluation]:
    """The maker of evaluations."""
    return evaluation_of


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A real time-stamp authority, OpenSSL's, of tests/time_authority.py."""
    if shutil.which("openssl") is None:
        # Where everything is tested, nothing of it may be left out in silence.
        (pytest.fail if os.environ.get("CI") else pytest.skip)("the openssl program is not installed")
    spec = importlib.util.spec_from_file_location("time_authority", Path(__file__).with_name("time_authority.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["time_authority"] = module
    spec.loader.exec_module(module)
    return module.TimeAuthority(tmp_path_factory.mktemp("authority"))

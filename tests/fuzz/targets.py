"""What is fuzzed: every function that reads what a stranger wrote, with seeds from real files.

A target takes bytes and returns nothing. It may raise an :class:`~onnxfp.errors.OnnxfpError`; any other exception is a
finding, and so is an input that takes more than a second of computing or 500 MB of memory (:mod:`tests.fuzz.limits`).
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from onnxfp.bundle import canonical_json
from onnxfp.bundle.fingerprint import Fingerprint, sign_fingerprint
from onnxfp.bundle.manifest import Manifest
from onnxfp.bundle.reader import parse_bundle
from onnxfp.bundle.signing import FINGERPRINT, PAYLOAD_TYPE, verify_envelope, verify_statement
from onnxfp.bundle.writer import MANIFEST, SIGNATURE, pack
from onnxfp.crafting.checkpoint import Checkpoint
from onnxfp.crafting.state import Crafted
from onnxfp.errors import CodecError, OnnxfpError
from onnxfp.model.io_contract import choose_input, choose_output, read_answer
from onnxfp.model.onnx_file import read_onnx
from onnxfp.recipe.derivation import check_derivation, derive_labels, derive_seeds
from onnxfp.report.attestation import ATTESTATION, parse_attestation
from onnxfp.report.verification import Report
from onnxfp.runtime.ipc import MessageError, read_message, write_message
from onnxfp.runtime.isolated import _tensors
from onnxfp.runtime.local import RefusedError
from onnxfp.suspects.responses import read_class_names, read_responses
from onnxfp.trust.keys import load_public_key, signer_public_key
from onnxfp.trust.trust_store import FOLDER, add_key, find_public_key, is_name, remove_key
from tests.builders import pair_model

REPOSITORY = Path(__file__).parents[2]
GOLDEN = REPOSITORY / "tests" / "golden"

# The key of the golden files: its private half is public.
SIGNER = CryptoSigner(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
PUBLIC_KEY = signer_public_key(SIGNER)


@dataclass(frozen=True)
class Target:
    """One function under attack.

    Attributes:
        seeds: Returns real inputs to start from.
        run: Takes what a stranger wrote.
    """

    seeds: Callable[[], Iterable[bytes]]
    run: Callable[[bytes], None]


@cache
def golden() -> Fingerprint:
    """Return a small fingerprint that the test key signed."""
    return parse_bundle((GOLDEN / "derived-1.fp.npz").read_bytes())


@cache
def scratch() -> Path:
    """Return an empty folder for functions that take a path; the home of its trust store too."""
    # What is ignored with a warning would fill the terminal.
    logging.getLogger("onnxfp").setLevel(logging.ERROR)
    folder = Path(mkdtemp(prefix="onnxfp-fuzz-"))
    os.environ["ONNXFP_HOME"] = str(folder / "home")
    return folder


def canonical(text: bytes) -> bytes:
    """Return the canonical spelling of JSON, so that a mutation reaches the checks behind it."""
    with suppress(CodecError, UnicodeError):
        return canonical_json.dump(canonical_json.load_any_layout(text.decode(), "the input"))
    return text


def run_bundle(content: bytes) -> None:
    """Read a bundle file."""
    fingerprint = parse_bundle(content)
    # Whatever is accepted is the one file of its content.
    assert pack(fingerprint.members()) == content


def run_manifest(content: bytes) -> None:
    """Read a manifest, sign it as an accuser would, and derive again."""
    manifest = Manifest.from_json(canonical(content))
    context, shape = manifest.derivation_context(), manifest.base.input.shape
    if manifest.n_examples * int(np.prod(shape)) <= 2**16:
        # An accuser's file must hold as many values as it makes the verifier derive.
        levels = np.zeros((manifest.n_examples, *shape), manifest.grid.dtype)
        labels = indices = np.arange(manifest.n_examples, dtype=np.int64)
        check_derivation(context, levels, labels, indices, manifest.n_candidates)


def run_resigned(content: bytes) -> None:
    """Read a bundle whose manifest anybody may have written, with a good signature of their own."""
    manifest = Manifest.from_json(canonical(content))
    if manifest.n_examples * int(np.prod(manifest.base.input.shape)) > 2**16:
        return
    indices = np.arange(manifest.n_examples, dtype=np.int64)
    context = manifest.derivation_context()
    levels, labels = derive_seeds(context, indices), derive_labels(context, indices)
    members = sign_fingerprint(levels, labels, indices, manifest, SIGNER).members()
    parse_bundle(pack(members)).manifest.grid.to_model_input(levels)


def run_envelope(content: bytes) -> None:
    """Read an envelope of any kind."""
    for text in (content, canonical(content)):
        with suppress(OnnxfpError):
            verify_envelope(text, PUBLIC_KEY)


def run_statement(content: bytes) -> None:
    """Read a statement that the right key has signed."""
    envelope = Envelope(canonical(content), PAYLOAD_TYPE, {})
    envelope.sign(SIGNER)
    for kind in (FINGERPRINT, ATTESTATION):
        with suppress(OnnxfpError):
            verify_statement(canonical_json.dump(envelope.to_dict()), kind, PUBLIC_KEY)


def run_report(content: bytes) -> None:
    """Read a report; what is read is written and read again."""
    report = Report.from_json(content.decode(errors="surrogateescape"))
    assert Report.from_json(report.to_json()) == report


def run_attestation(content: bytes) -> None:
    """Read an attestation as it comes, and one whose statement its own key has signed."""
    with suppress(OnnxfpError):
        parse_attestation(content)
    envelope = Envelope(canonical(content), PAYLOAD_TYPE, {})
    envelope.sign(SIGNER)
    parse_attestation(canonical_json.dump(envelope.to_dict()))


def run_names(content: bytes) -> None:
    """Take, find and forget a name of the trust store."""
    store, name = scratch() / "home" / FOLDER, content.decode(errors="surrogateescape")
    if is_name(name):
        path = add_key(name, PUBLIC_KEY, overwrite=True).path
        assert path.parent == store
        assert path.name.isascii()
        assert path.name.isprintable()
        assert find_public_key(name) == PUBLIC_KEY
        remove_key(name)
        return
    try:
        add_key(name, PUBLIC_KEY)
    finally:
        assert not store.exists() or not any(store.iterdir())


def run_key(content: bytes) -> None:
    """Read a public key file."""
    path = scratch() / "key.pub.pem"
    path.write_bytes(content)
    load_public_key(path)


def run_checkpoint(content: bytes) -> None:
    """Go on from a checkpoint."""
    checkpoint = Checkpoint(scratch() / "checkpoint", golden().manifest.derivation_context())
    checkpoint.path.write_bytes(content)
    checkpoint.load()


def run_model(content: bytes) -> None:
    """Read a model file and check it."""
    path = scratch() / "model.onnx"
    path.write_bytes(content)
    assert read_onnx(path).load_proto().graph.node


def run_answers(content: bytes) -> None:
    """Believe a worker that its model has taken over: two frames, what it is and what it answers."""
    stream, path = io.BytesIO(content), Path("model.onnx")
    try:
        described, _ = read_message(stream)
        inputs, outputs = _tensors(described, "inputs"), _tensors(described, "outputs")
        spec = choose_input(path, inputs, None, None, ())
        _, values = read_message(stream)
        if len(values) == len(outputs):
            output = choose_output(path, outputs, values, spec.batch or 1, None, None)
            read_answer(path, output, values[[o.name for o in outputs].index(output.name)], spec.batch or 1)
    except (MessageError, RefusedError, EOFError):
        return


def run_responses(content: bytes) -> None:
    """Read recorded responses, as class indices and as names, and the names themselves."""
    path = scratch() / "responses.csv"
    path.write_bytes(content)
    for classes in (10, ("cat", "dog")):
        with suppress(OnnxfpError):
            labels = read_responses(path, 3, classes).answers.labels
            assert labels.shape == (3,)
            assert (labels >= -1).all()
    read_class_names(path, 3)


def _bundles() -> Iterable[bytes]:
    yield (GOLDEN / "derived-1.fp.npz").read_bytes()


def _member(name: str) -> Callable[[], Iterable[bytes]]:
    def seeds() -> Iterable[bytes]:
        for path in sorted(GOLDEN.glob("*.npz")):
            yield parse_bundle(path.read_bytes()).members()[name]

    return seeds


def _statements() -> Iterable[bytes]:
    from base64 import b64decode

    for envelope in (*_member(SIGNATURE)(), *_files("attestation-*.json")()):
        yield b64decode(json.loads(envelope)["payload"])


def _files(pattern: str, folder: Path = GOLDEN) -> Callable[[], Iterable[bytes]]:
    return lambda: (path.read_bytes() for path in sorted(folder.glob(pattern)))


def _names() -> Iterable[bytes]:
    yield from (b"alice", b"Bob.B-2_x", b"..", b"con.x", b"a/b", PUBLIC_KEY.encode(), "\u212aate".encode())


def _responses() -> Iterable[bytes]:
    yield b"example,label\n0001.png,4\n0002.png,\n0003.png,0\n"
    yield '\ufeffLabel,note,Example\r\ncat,"a, b",1\r\n"Hund",,x/2.png\r\ndog,,3\r\n'.encode()


def _checkpoints() -> Iterable[bytes]:
    fingerprint = golden()
    checkpoint = Checkpoint(scratch() / "seed", fingerprint.manifest.derivation_context())
    checkpoint.save(Crafted(fingerprint.levels, fingerprint.labels, fingerprint.indices, 8, 0.0))
    yield checkpoint.path.read_bytes()


def _models() -> Iterable[bytes]:
    """Small models with what the large ones have: subgraphs, functions, external data, sparse and string tensors."""
    import onnx
    from onnx import TensorProto, helper, parser

    yield parser.parse_model(
        """<ir_version: 8, opset_import: ["": 17, "own": 1]>
        g (float[N, 3] x, bool b) => (float[N, 3] y) <float[3] w = {1, 2, 3}> {
            a = own.twice (x)
            y = If (b) <
                then_branch = t () => (float[N, 3] p) { p = Add (a, w) },
                else_branch = e () => (float[N, 3] q) { q = Constant <value = float[1] {0}> () }
            >
        }
        <domain: "own", opset_import: ["": 17]> twice (x) => (y) { y = Add (x, x) }
        """
    ).SerializeToString()
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="gone.bin")
    node = helper.make_node("Add", ["x", "w"], ["y"], sparse_value=helper.make_sparse_tensor(weights, weights, [4]))
    yield pair_model(node, stored=[weights]).SerializeToString()
    model = onnx.load_model_from_string((REPOSITORY / "models" / "stolen" / "int8.onnx").read_bytes())
    for tensor in model.graph.initializer:
        tensor.raw_data = tensor.raw_data[:8]
    yield model.SerializeToString()


def _answers() -> Iterable[bytes]:
    def frames(outputs: list[Any], values: list[Any]) -> bytes:
        stream = io.BytesIO()
        write_message(stream, {"inputs": [["x", "tensor(float)", ["N", 3, 8, 8]]], "outputs": outputs})
        write_message(stream, {}, values)
        return stream.getvalue()

    yield frames([["y", "tensor(float)", [1, 5]]], [np.zeros((1, 5), np.float32)])
    yield frames([["l", "tensor(int64)", [1]], ["p", "seq(map)", []]], [np.zeros(1, np.int64), [{0: 0.25, 1: 0.75}]])
    for value in (np.float32(1), np.zeros((0, 5), np.float32), np.ones((1, 5, 1, 1), np.float16), np.array(3)):
        yield frames([["y", "tensor(float)", []]], [np.asarray(value)])
    yield frames([["s", "tensor(string)", [1]], ["q", "tensor(float)", [1, 1]]], [np.array(["a"]), np.ones((1, 1))])


TARGETS = {
    "bundle": Target(_bundles, run_bundle),
    "manifest": Target(_member(MANIFEST), run_manifest),
    "resigned": Target(_member(MANIFEST), run_resigned),
    "envelope": Target(_member(SIGNATURE), run_envelope),
    "statement": Target(_statements, run_statement),
    "report": Target(_files("report-*.json"), run_report),
    "attestation": Target(lambda: (*_files("attestation-*.json")(), *_statements()), run_attestation),
    "names": Target(_names, run_names),
    "key": Target(_files("*.pem"), run_key),
    "checkpoint": Target(_checkpoints, run_checkpoint),
    "model": Target(_models, run_model),
    "answers": Target(_answers, run_answers),
    "responses": Target(_responses, run_responses),
}
"""Every target by name."""

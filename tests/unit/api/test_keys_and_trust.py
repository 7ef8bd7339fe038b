"""Keys, the trust store and attestations, with the public names alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnxfp


def test_a_key_pair_is_made_opened_and_exported(tmp_path: Path) -> None:
    private, copy = tmp_path / "alice.pem", tmp_path / "copy.pub.pem"
    public_key = onnxfp.generate_key_pair(private, passphrase=b"secret")
    signer = onnxfp.open_signer(private, passphrase=lambda _: b"secret")
    assert onnxfp.export_public_key(signer, copy) == public_key
    assert copy.read_bytes() == onnxfp.public_key_path(private).read_bytes()
    assert onnxfp.find_key(copy) == public_key
    with pytest.raises(onnxfp.FileError, match="exists already"):
        onnxfp.export_public_key(signer, copy)
    with pytest.raises(onnxfp.KeyFileError):
        onnxfp.open_signer(private, passphrase=lambda _: b"wrong")
    with pytest.raises(onnxfp.ParameterError, match="no passphrase"):
        onnxfp.open_signer(private)


def test_the_default_key_is_made_where_no_file_is_named() -> None:
    public_key = onnxfp.generate_key_pair(overwrite=True)
    assert onnxfp.find_key(onnxfp.public_key_path(onnxfp.default_key_path())) == public_key
    assert onnxfp.export_public_key(onnxfp.open_signer()) == public_key


def test_a_name_of_the_trust_store_is_added_listed_found_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONNXFP_HOME", str(tmp_path))
    key = onnxfp.generate_key_pair(tmp_path / "bob.pem")
    added = onnxfp.add_key("Bob", onnxfp.public_key_path(tmp_path / "bob.pem"))
    assert isinstance(added, onnxfp.TrustedKey)
    assert onnxfp.list_keys() == (added,)
    assert (onnxfp.find_key("bob"), onnxfp.find_key_name(key)) == (key, "Bob")
    assert onnxfp.identify_signer(key, is_pinned=True) == onnxfp.Signer(key, True, "Bob")
    assert onnxfp.remove_key("bob") == "Bob"
    assert onnxfp.list_keys() == ()
    assert onnxfp.identify_signer(key, is_pinned=False).name is None
    with pytest.raises(onnxfp.FileError, match="not in your trust store"):
        onnxfp.remove_key("bob")


def test_a_report_is_signed_by_an_opened_key(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = crafted
    key = onnxfp.generate_key_pair(tmp_path / "auditor.pem")
    signer = onnxfp.open_signer(tmp_path / "auditor.pem")
    path = tmp_path / "a.json"
    report = onnxfp.verify(base, bundle, execution=onnxfp.Execution("cpu", limits=None))
    path.write_bytes(onnxfp.attest(report, key=signer, suspect=base, fingerprint=bundle))
    assert onnxfp.is_attestation(path)
    assert not onnxfp.is_attestation(bundle)
    assert onnxfp.load_attestation(path, public_key=key).report == report


def test_a_bundle_tells_its_requirement_and_null_as_file_or_fingerprint(crafted: tuple[Path, Path]) -> None:
    _, bundle = crafted
    loaded = onnxfp.load(bundle)
    found = onnxfp.find_requirement(bundle)
    assert found == onnxfp.find_requirement(loaded)
    assert found.n_examples == loaded.n_examples
    strict = onnxfp.find_requirement(loaded, policy=onnxfp.Policy(alpha=1e-9))
    assert found.min_matches is not None
    assert strict.min_matches is None or strict.min_matches > found.min_matches
    null = onnxfp.estimate_null(bundle)
    assert null == onnxfp.estimate_null(loaded)
    assert 0 < null.rate < null.upper < found.min_matches / found.n_examples


def test_the_usual_places_beside_a_bundle() -> None:
    assert onnxfp.opening_path("a/m.fp.npz") == Path("a/m.fp.commitment.json")
    assert onnxfp.timestamp_path("a/m.fp.npz") == Path("a/m.fp.npz.tsr")

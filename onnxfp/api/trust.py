"""The calls on the trust store, where a verifier gives names to public keys."""

from __future__ import annotations

from pathlib import Path

from onnxfp.report.parts import Signer
from onnxfp.trust import trust_store
from onnxfp.trust.trust_store import TrustedKey


def add_key(name: str, key: str | Path, *, overwrite: bool = False) -> TrustedKey:
    """Trust a public key under a name.

    Args:
        name: 1 to 64 ASCII letters, digits, ``-``, ``_`` and ``.``, without a dot at the start.
        key: A PEM file with an Ed25519 public key, or its 64 hexadecimal digits.
        overwrite: Whether a key of this name may be replaced.

    Returns:
        The key as it now is in the store. An existing name keeps its capitals.

    Raises:
        ParameterError: The name has another form.
        KeyFileError: The key cannot be read, or anybody can sign under it.
        FileError: The name is taken, or the store is not writable.
    """
    return trust_store.add_key(name, key, overwrite=overwrite)


def list_keys() -> tuple[TrustedKey, ...]:
    """Return the keys of the trust store, sorted by name. Other files in its folder are warned about.

    Raises:
        FileError: The folder exists and cannot be read.
    """
    return trust_store.trusted_keys()


def remove_key(name: str) -> str:
    """Remove a name and its key from the trust store.

    Returns:
        The name, with its capitals in the store.

    Raises:
        ParameterError: The name has another form than :func:`add_key` takes.
        FileError: The store has no such name, or is not writable.
    """
    return trust_store.remove_key(name).name.removesuffix(trust_store.SUFFIX)


def find_key(source: str | Path) -> str:
    """Return the raw public key, 64 hexadecimal digits, of a name or a file.

    Args:
        source: The 64 hexadecimal digits, else a PEM file, else a name in the trust store.

    Raises:
        KeyFileError: It is none of these.
        FileError: The trust store cannot be read.
    """
    return trust_store.find_public_key(source)


def find_key_name(public_key: str) -> str | None:
    """Return the first name of a key in the trust store, or ``None``. A store that cannot be read is warned about.

    Args:
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
    """
    return trust_store.find_key_name(public_key)


def identify_signer(public_key: str, *, is_pinned: bool) -> Signer:
    """Return the signer of a bundle or attestation, with the verifier's own name for it.

    Args:
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
        is_pinned: Whether the verifier required this very key.
    """
    return Signer(public_key, is_pinned, find_key_name(public_key))

"""The calls on key pairs: make one, open its private half to sign, read or write its public half."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from onnxfp.trust import keys
from onnxfp.trust.keys import Passphrase
from onnxfp.trust.keys import default_key_path as default_key_path

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner


def public_key_path(private_key: str | Path) -> Path:
    """Return the place of the public half: ``onnxfp.pem`` has ``onnxfp.pub.pem`` beside it."""
    return keys.public_key_path(Path(private_key))


def generate_key_pair(
    private_key: str | Path | None = None, *, passphrase: bytes | None = None, overwrite: bool = False
) -> str:
    """Make an Ed25519 key pair and write both halves.

    Args:
        private_key: Where to write the private key (PKCS#8 PEM, mode 0600); ``None`` takes :func:`default_key_path`.
            The public key goes beside it, to :func:`public_key_path`.
        passphrase: Encrypts the private key, 1 to 1023 bytes; ``None`` leaves it unencrypted.
        overwrite: Whether existing files may be replaced. A replaced key cannot be brought back.

    Returns:
        The raw public key, 64 hexadecimal digits.

    Raises:
        FileError: A file exists already, or the folder is not writable; no half of a new pair remains.
        ParameterError: The passphrase is empty or too long.
    """
    path = keys.default_key_path() if private_key is None else Path(private_key)
    return keys.generate_key_pair(path, passphrase=passphrase, overwrite=overwrite)


def open_signer(key: str | Path | None = None, *, passphrase: Passphrase | None = None) -> CryptoSigner:
    """Open a private key, for :func:`onnxfp.attest` or several of its calls.

    Args:
        key: The private key file; ``None`` takes the user's default key, and makes it on first use.
        passphrase: Asked for the passphrase of an encrypted key.

    Raises:
        KeyFileError: The file is missing, holds no Ed25519 private key, or the passphrase is wrong.
        ParameterError: The key is encrypted, and there is no passphrase.
    """
    return keys.open_signer(key, passphrase)


def export_public_key(signer: CryptoSigner, output: str | Path | None = None, *, overwrite: bool = False) -> str:
    """Return the public half of a key, and write it to a file if there is a name for one.

    Args:
        signer: The result of :func:`open_signer`.
        output: Where to write the public key (PEM); ``None`` returns it only.
        overwrite: Whether an existing file may be replaced.

    Returns:
        The raw public key, 64 hexadecimal digits.

    Raises:
        FileError: The file exists already, or cannot be written.
    """
    public_key = keys.signer_public_key(signer)
    if output is not None:
        keys.write_public_key(Path(output), public_key, overwrite=overwrite)
    return public_key

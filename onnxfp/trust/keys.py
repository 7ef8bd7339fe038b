"""Ed25519 key pairs in PEM files: making, loading, and the user's default key."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from onnxfp.errors import FileError, KeyFileError, ParameterError
from onnxfp.files import read_bounded, warn_if_shared, write_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import CryptoSigner

Passphrase = Callable[[Path], bytes]
"""Asked for the passphrase of an encrypted key file; only called when the file is encrypted."""

HOME_VARIABLE = "ONNXFP_HOME"
DEFAULT_KEY_NAME = "onnxfp.pem"
_MAX_KEY_BYTES = 2**16
_MAX_PASSPHRASE_BYTES = 1023
_RAW_KEY = re.compile(r"[0-9a-fA-F]{64}")

_log = logging.getLogger(__name__)


def home_folder() -> Path:
    """Return where the user's keys lie: ``$ONNXFP_HOME``, else the platform's place for settings."""
    home = os.environ.get(HOME_VARIABLE)
    if home:
        return Path(home)
    from platformdirs import user_config_path

    return user_config_path("onnxfp")


def default_key_path() -> Path:
    """Return where the user's default private key lies."""
    return home_folder() / DEFAULT_KEY_NAME


def public_key_path(private_path: Path) -> Path:
    """Return where the public half lies: ``onnxfp.pem`` has ``onnxfp.pub.pem`` beside it."""
    return private_path.with_name(f"{private_path.stem}.pub.pem")


def make_key_folder(folder: Path) -> None:
    """Make a folder for keys, and those above it, where they are missing; only their owner may look into them.

    Raises:
        FileError: It cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise FileError(
            f"{folder} cannot be made: {error.strerror}", hint=f"set {HOME_VARIABLE} to a writable folder"
        ) from error


def generate_key_pair(private_path: Path, *, passphrase: bytes | None = None, overwrite: bool = False) -> str:
    """Make a key pair and write both halves.

    Args:
        private_path: Where the private key shall be (PKCS#8 PEM, mode 0600); the public key goes beside it.
        passphrase: Encrypts the private key; ``None`` leaves it in the clear.
        overwrite: Whether existing files may be replaced. A replaced key cannot be brought back.

    Returns:
        The raw public key, 64 hexadecimal digits.

    Raises:
        FileError: A file exists already, or the folder is not writable; no half of a new pair remains.
        ParameterError: The passphrase is empty, or longer than 1023 bytes.
    """
    if passphrase is not None and not 1 <= len(passphrase) <= _MAX_PASSPHRASE_BYTES:
        raise ParameterError(
            f"a passphrase has 1 to {_MAX_PASSPHRASE_BYTES} bytes; found {len(passphrase)}",
            hint="leave it out to keep the private key unencrypted",
        )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    key = Ed25519PrivateKey.generate()
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    public = key.public_key()
    public_path = public_key_path(private_path)
    if not overwrite and public_path.exists():
        raise FileError(f"{public_path} exists already", hint="choose another name, or move it away first")
    make_key_folder(private_path.parent)
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    public_pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    was_there = private_path.exists()
    write_file(private_path, private_pem, mode=0o600, overwrite=overwrite)
    try:
        write_file(public_path, public_pem, overwrite=overwrite)
    except BaseException:
        if not was_there:
            private_path.unlink(missing_ok=True)
        raise
    return public.public_bytes_raw().hex()


def write_public_key(path: Path, public_key: str, *, overwrite: bool = False) -> None:
    """Write a public key as a PEM file.

    Args:
        path: The file.
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileError: The file exists already, or cannot be written.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public_key))
    write_file(path, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), overwrite=overwrite)


def load_signer(path: Path, passphrase: Passphrase) -> CryptoSigner:
    """Return the signer for a private key file.

    Args:
        path: The PEM file.
        passphrase: Asked only if the file is encrypted.

    Raises:
        KeyFileError: The file is missing, holds no Ed25519 private key, or the passphrase is wrong.
    """
    from securesystemslib.signer import CryptoSigner

    # A key may come out of a vault through a pipe, and never lie on a disk.
    pem = read_bounded(path, _MAX_KEY_BYTES, hint=_KEYGEN, error=KeyFileError, allow_stream=True)
    key = _load_private(path, pem, passphrase)
    warn_if_shared("the private key", path)
    return CryptoSigner(key)


def signer_public_key(signer: CryptoSigner) -> str:
    """Return the raw public key of a signer, 64 hexadecimal digits."""
    return str(signer.public_key.keyval["public"])


def is_raw_key(text: str) -> bool:
    """Return whether ``text`` is a public key itself, 64 hexadecimal digits, rather than the name of a file."""
    return _RAW_KEY.fullmatch(text) is not None


def load_public_key(source: str | Path) -> str:
    """Return a raw public key, 64 hexadecimal digits.

    Args:
        source: A PEM file with an Ed25519 public key, or the 64 hexadecimal digits themselves.

    Raises:
        KeyFileError: The file is missing or holds no Ed25519 public key.
    """
    if is_raw_key(str(source)):
        return str(source).lower()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    path = Path(source)
    pem = read_bounded(path, _MAX_KEY_BYTES, hint=_KEYGEN, error=KeyFileError)
    if b"PRIVATE KEY" in pem:
        raise KeyFileError(
            f"{path} holds a private key, where the public one is wanted",
            hint=f"give {public_key_path(path).name}, and keep the private key to yourself",
        )
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{path} is not a PEM public key", hint=_KEYGEN) from error
    if not isinstance(key, Ed25519PublicKey):
        raise KeyFileError(f"{path} holds a {type(key).__name__}; an Ed25519 key is needed", hint=_KEYGEN)
    return key.public_bytes_raw().hex()


def _load_private(path: Path, pem: bytes, passphrase: Passphrase) -> Ed25519PrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if b"PUBLIC KEY" in pem:
        raise KeyFileError(f"{path} holds a public key, where the private one is wanted", hint=_KEYGEN)
    secret = passphrase(path) if b"ENCRYPTED" in pem else None
    try:
        key = load_pem_private_key(pem, secret)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        reason = "it is not a PEM private key" if secret is None else "the passphrase is wrong, or the file is damaged"
        # The cause is left out on purpose: nothing of a key or a passphrase may reach a message.
        raise KeyFileError(f"the private key {path} cannot be opened: {reason}", hint=_KEYGEN) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyFileError(f"{path} holds a {type(key).__name__}; an Ed25519 key is needed", hint=_KEYGEN)
    return key


_KEYGEN = "make a key pair with: onnxfp keygen"


def open_signer(key: str | Path | None = None, passphrase: Passphrase | None = None) -> CryptoSigner:
    """Return the signer for a private key.

    Args:
        key: The private key file; ``None`` takes the user's default key, and makes it on first use.
        passphrase: Asked for the passphrase of an encrypted key.

    Raises:
        KeyFileError: The file is missing, holds no Ed25519 private key, or the passphrase is wrong.
        ParameterError: The key is encrypted, and there is no passphrase.
    """
    path = default_key_path() if key is None else Path(key)
    if key is None and not path.exists():
        generate_key_pair(path)
        _log.warning("made your default key pair: %s (keep it: it proves that your fingerprints are yours)", path)
    return load_signer(path, passphrase or _no_passphrase)


def _no_passphrase(path: Path) -> bytes:
    raise ParameterError(f"the private key {path} is encrypted, and no passphrase was given")

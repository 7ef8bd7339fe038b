"""The verifier's own names for public keys: one PEM file a name, ``trusted/alice.pub.pem`` in the home folder.

A name is a file's name and is printed beside verdicts, so it is made of few characters. File systems differ in whether
they tell ``Alice`` from ``alice``; here the two are one name everywhere.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path

from onnxfp.bundle.signing import is_weak_key
from onnxfp.errors import FileError, KeyFileError, ParameterError
from onnxfp.text import quote_text
from onnxfp.trust.keys import home_folder, is_raw_key, load_public_key, make_key_folder, write_public_key

FOLDER = "trusted"
SUFFIX = ".pub.pem"

_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}")
# Windows opens a device under these names, whatever follows the first dot.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_LIST = "see the names with: onnxfp keys list"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key to which the verifier gave a name.

    Attributes:
        name: The verifier's name for its owner.
        public_key: Raw Ed25519 public key, 64 hexadecimal digits.
        path: The PEM file.
    """

    name: str
    public_key: str
    path: Path


def is_name(text: str) -> bool:
    """Return whether ``text`` can be a name: 1 to 64 ASCII letters, digits, ``-``, ``_`` and ``.``, no dot first.

    Names of Windows devices and 64 hexadecimal digits, which are a key, are none.
    """
    return bool(_NAME.fullmatch(text)) and not _DEVICE.fullmatch(text) and not is_raw_key(text)


def trusted_keys() -> tuple[TrustedKey, ...]:
    """Return the keys of the trust store, by name; what else lies in its folder is warned about and left out.

    Raises:
        FileError: The folder is there and cannot be read.
    """
    found: dict[str, TrustedKey] = {}
    for path in _files():
        name = path.name.removesuffix(SUFFIX)
        try:
            if name == path.name or not is_name(name):
                raise KeyFileError("it is not called NAME.pub.pem")
            if name.lower() in found:
                raise KeyFileError(f"its name is that of {found[name.lower()].path.name}, in other letters")
            public_key = load_public_key(path)
            if is_weak_key(public_key):
                raise KeyFileError("anybody can sign under its key")
        except KeyFileError as error:
            _log.warning("the trust store's %s is left out: %s", quote_text(path.name, 255), error)
            continue
        found[name.lower()] = TrustedKey(name, public_key, path)
    return tuple(found[name] for name in sorted(found))


def add_key(name: str, key: str | Path, *, overwrite: bool = False) -> TrustedKey:
    """Trust a public key under a name.

    Args:
        name: The name; see :func:`is_name`.
        key: A PEM file with an Ed25519 public key, or its 64 hexadecimal digits.
        overwrite: Whether a key of this name may be replaced.

    Returns:
        The key as it now is in the store. A name that was there keeps its capitals.

    Raises:
        ParameterError: That is no name.
        KeyFileError: The key cannot be read, or anybody can sign under it.
        FileError: The name is taken, or the store is not writable.
    """
    path = _find_path(name) or home_folder() / FOLDER / f"{name}{SUFFIX}"
    public_key = load_public_key(key)
    if is_weak_key(public_key):
        raise KeyFileError(
            f"anybody can sign under the key {public_key[:16]}...", hint="ask its owner for a key made by onnxfp keygen"
        )
    if path.exists() and not overwrite:
        raise FileError(
            f"{path.name.removesuffix(SUFFIX)} is in your trust store already", hint="--force replaces its key"
        )
    for other in trusted_keys():
        if other.public_key == public_key and other.path != path:
            _log.warning("you trust the same key as %s", other.name)
    make_key_folder(path.parent)
    write_public_key(path, public_key, overwrite=overwrite)
    return TrustedKey(path.name.removesuffix(SUFFIX), public_key, path)


def remove_key(name: str) -> Path:
    """Forget a name, whatever its file holds.

    Returns:
        The file that was removed.

    Raises:
        ParameterError: That is no name.
        FileError: The store has no such name, or is not writable.
    """
    path = _find_path(name)
    if path is None:
        raise FileError(f"{name} is not in your trust store", hint=_LIST)
    try:
        path.unlink()
    except OSError as error:
        raise FileError(f"{path} cannot be removed: {error.strerror}", hint="check the folder's permissions") from error
    return path


def find_key_name(public_key: str) -> str | None:
    """Return the verifier's name for a key, the first of several; ``None`` if it is not in the store.

    A store that cannot be read is warned about: the evidence does not depend on it.
    """
    try:
        return next((key.name for key in trusted_keys() if key.public_key == public_key), None)
    except FileError as error:
        _log.warning("your trust store is not used: %s", error)
        return None


def find_public_key(source: str | Path) -> str:
    """Return the raw public key, 64 hexadecimal digits, that a person means.

    Args:
        source: The 64 hexadecimal digits, else a PEM file, else a name in the trust store.

    Raises:
        KeyFileError: It is none of these.
        FileError: The trust store cannot be read.
    """
    text = str(source)
    if not is_name(text) or Path(source).is_file():
        return load_public_key(source)
    for key in trusted_keys():
        if key.name.lower() == text.lower():
            return key.public_key
    try:
        return load_public_key(source)
    except KeyFileError as error:
        raise KeyFileError(f"{error}; nor is it a name in your trust store", hint=_LIST) from error


def _find_path(name: str) -> Path | None:
    if not is_name(name):
        raise ParameterError(
            f"{quote_text(name, 80)} cannot be the name of a key",
            hint="use 1 to 64 letters (a to z), digits, '-', '_' and '.', not starting with a dot",
        )
    return next((path for path in _files() if path.name.lower() == f"{name}{SUFFIX}".lower()), None)


def _files() -> list[Path]:
    folder = home_folder() / FOLDER
    try:
        # Hidden files are those of file managers and of writes that were interrupted.
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FileError(f"{folder} cannot be read: {error.strerror}", hint="check the folder's permissions") from error

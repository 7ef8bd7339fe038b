"""Files that appear whole or not at all: written beside, flushed to disk, renamed."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from onnxfp.errors import FileError

_log = logging.getLogger(__name__)

_NO_LINKS = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK})


def write_file(path: Path, content: bytes, *, mode: int = 0o666, overwrite: bool = True) -> None:
    """Write ``content`` to ``path`` atomically.

    Args:
        path: Where the file shall be. A symbolic link stays, and the file that it leads to is replaced.
        content: All of its bytes.
        mode: Permissions of the new file, less the process's umask; 0o600 for secrets. It never has others.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileError: The folder is missing or not writable, the disk is full, or what is there must not be replaced:
            a folder, a device or a pipe, and without ``overwrite`` any file. Nothing half-written remains.
    """
    path = Path(path)
    beside: Path | None = None
    try:
        # Renaming over a device would replace it: /dev/null would become a file for everybody.
        target = Path(os.path.realpath(path)) if path.is_symlink() and overwrite else path
        if target.exists() and not target.is_file():
            raise FileError(f"{path} is no plain file, and is not replaced", hint="give the name of a file")
        beside = target.with_name(f".onnxfp-{secrets.token_hex(8)}.tmp")
        _write_new(beside, content, mode)
        if overwrite:
            os.replace(beside, target)  # noqa: PTH105
        else:
            _move_to_free_name(beside, target)
        _flush_folder(target.parent)
    except FileExistsError as error:
        raise FileError(f"{path} exists already", hint="choose another name, or move it away first") from error
    except (OSError, ValueError) as error:
        raise FileError(
            f"{str(path)!r} cannot be written: {getattr(error, 'strerror', None) or error}",
            hint="check that the folder exists, is writable and has space left",
        ) from error
    finally:
        if beside is not None:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a new folder, which appears with all of them or not at all.

    Args:
        folder: Where it shall be; it must not exist, or be empty.
        files: Contents by name.

    Raises:
        FileError: Something is there already, the parent is missing or not writable, or the disk is full. Nothing
            half-written remains.
    """
    folder = Path(folder).absolute()
    beside = folder.parent / f".onnxfp-{secrets.token_hex(8)}.tmp"
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise FileError(f"{folder} exists already", hint="give a new folder, or an empty one")
        beside.mkdir()
        for name, content in files.items():
            _write_new(beside / name, content, 0o666)
        if folder.exists():
            folder.rmdir()
        beside.rename(folder)
        _flush_folder(folder.parent)
    except (OSError, ValueError) as error:
        raise FileError(
            f"{str(folder)!r} cannot be written: {getattr(error, 'strerror', None) or error}",
            hint="check that the folder around it exists, is writable and has space left",
        ) from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _write_new(path: Path, content: bytes, mode: int) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _move_to_free_name(beside: Path, target: Path) -> None:
    # A hard link fails where a file is, a rename would replace it.
    try:
        os.link(beside, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # Some file systems have no links: take the name first, then move over what is ours.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        try:
            os.replace(beside, target)  # noqa: PTH105
        except BaseException:
            target.unlink(missing_ok=True)
            raise


def _flush_folder(folder: Path) -> None:
    # So that the name survives a power failure too; where folders cannot be opened there is nothing to flush.
    if os.name == "posix":
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def open_plain_file(path: Path, hint: str) -> BinaryIO:
    """Open a file for reading, and nothing but a plain file.

    Raises:
        FileError: There is none; its hint is ``hint``.
        OSError: It cannot be opened.
    """
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, ValueError) as error:
        raise FileError(f"{path} does not exist", hint=hint) from error
    # Opening a pipe would wait for its writer, so it is not tried.
    if not stat.S_ISREG(mode):
        raise FileError(f"{path} {'is a folder' if stat.S_ISDIR(mode) else 'is no plain file'}", hint=hint)
    return path.open("rb")


def warn_if_shared(what: str, path: Path, mode: int) -> None:
    """Warn of a secret that other users of the machine can reach; Windows tells nothing about that in its modes.

    Args:
        what: What it is, for the message.
        path: The file.
        mode: Its mode, as ``stat`` gives it.
    """
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        _log.warning("%s %s can be read by other users; run: chmod 600 %s", what, path, path)

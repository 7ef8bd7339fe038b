"""Files: written so that they appear whole or not at all, and read only as far as a limit allows."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from onnxfp.errors import FileError, OnnxfpError
from onnxfp.text import escape_text

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
            raise FileError(f"{path} is not a regular file, and is not replaced", hint="give the name of a file")
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


@contextlib.contextmanager
def open_regular_file(
    path: Path, *, hint: str, error: type[FileError] = FileError, allow_stream: bool = False
) -> Iterator[BinaryIO]:
    """Open a file for reading, as a context in which every failure to read it is one error.

    Args:
        path: The file.
        hint: The next step where there is no such file.
        error: Class of the error.
        allow_stream: Whether pipes and devices are read too. Opening a pipe waits for its writer.

    Raises:
        FileError: Of the class ``error``: there is no such file, it is not a regular one, or it cannot be read.
    """
    name = escape_text(str(path))
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) or not (stat.S_ISREG(mode) or allow_stream):
            raise error(f"{name} {'is a folder' if stat.S_ISDIR(mode) else 'is not a regular file'}", hint=hint)
        stream = path.open("rb")
    except FileNotFoundError as missing:
        raise error(f"{name} does not exist", hint=hint) from missing
    except OSError as failure:
        raise error(f"{name} cannot be read: {failure.strerror}", hint="check the file's permissions") from failure
    except ValueError as failure:
        # No system takes such a name.
        raise error(f"{name} cannot be read: {failure}", hint=hint) from failure
    with stream:
        try:
            yield stream
        except OSError as failure:
            raise error(f"{name} cannot be read: {failure.strerror}", hint="try again, or give a copy") from failure


def read_start(
    path: Path, n_bytes: int, *, hint: str, error: type[FileError] = FileError, allow_stream: bool = False
) -> bytes:
    """Return the first ``n_bytes`` of a file, or all of a shorter one.

    Raises:
        FileError: As :func:`open_regular_file`.
    """
    with open_regular_file(path, hint=hint, error=error, allow_stream=allow_stream) as stream:
        return stream.read(n_bytes)


def read_bounded(
    path: Path,
    max_bytes: int,
    *,
    hint: str,
    error: type[FileError] = FileError,
    too_large: type[OnnxfpError] | None = None,
    allow_stream: bool = False,
) -> bytes:
    """Return the content of a file; no more than ``max_bytes`` of it are ever held.

    Args:
        path: The file.
        max_bytes: The largest length that is read.
        hint: The next step where there is no such file, or a larger one.
        error: Class of the error where it cannot be read.
        too_large: Class of the error where it is larger; ``None`` takes ``error``.
        allow_stream: Whether pipes and devices are read too.

    Raises:
        FileError: As :func:`open_regular_file`.
        OnnxfpError: Of the class ``too_large``: the file is larger.
    """
    content = read_start(path, max_bytes + 1, hint=hint, error=error, allow_stream=allow_stream)
    if len(content) > max_bytes:
        raise (too_large or error)(f"{escape_text(str(path))} exceeds the limit of {max_bytes} bytes", hint=hint)
    return content


def warn_if_shared(what: str, path: Path) -> None:
    """Warn of a secret that other users of the machine can reach; Windows tells nothing about that in its modes.

    Args:
        what: What it is, for the message.
        path: The file.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if os.name == "posix" and stat.S_ISREG(mode) and mode & 0o077:
        _log.warning("%s %s can be read by other users; run: chmod 600 %s", what, path, path)

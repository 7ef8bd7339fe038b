"""Files that appear whole or not at all: written beside, flushed to disk, renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from onnxfp.errors import FileError


def write_file(path: Path, content: bytes, *, mode: int = 0o666, overwrite: bool = True) -> None:
    """Write ``content`` to ``path`` atomically.

    Args:
        path: Where the file shall be.
        content: All of its bytes.
        mode: Permissions of the new file, less the process's umask; 0o600 for secrets.
        overwrite: Whether an existing file may be replaced.

    Raises:
        FileError: The folder is missing or not writable, the disk is full, or the file exists and must not be
            replaced. Nothing half-written remains.
    """
    path = Path(path)
    beside: str | None = None
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, mode & ~_umask())  # noqa: PTH101 - a name, not a Path, is what mkstemp gives
        if overwrite:
            os.replace(beside, path)  # noqa: PTH105
        else:
            # A hard link fails where a file is, a rename would replace it.
            os.link(beside, path)  # noqa: PTH
    except FileExistsError as error:
        raise FileError(f"{path} exists already", hint="choose another name, or move it away first") from error
    except OSError as error:
        raise FileError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="check that the folder exists, is writable and has space left",
        ) from error
    finally:
        if beside is not None:
            with contextlib.suppress(OSError):
                os.unlink(beside)  # noqa: PTH108


def _umask() -> int:
    # The only portable way to read it is to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask

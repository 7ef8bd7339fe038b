"""The command line: parse, call the API, render, leave with the right exit code.

Modules of this package import nothing heavy at the top, so that ``onnxfp --help`` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
from collections.abc import Sequence

import click

import onnxfp
from onnxfp.cli.check import check
from onnxfp.cli.commit import commit
from onnxfp.cli.evaluate import evaluate
from onnxfp.cli.export import export
from onnxfp.cli.generate import generate
from onnxfp.cli.inspect import inspect
from onnxfp.cli.keygen import keygen
from onnxfp.cli.keys import keys
from onnxfp.cli.timestamp import timestamp
from onnxfp.cli.verify import verify
from onnxfp.errors import FileError, OnnxfpError
from onnxfp.text import escape_text

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it to a process that SIGINT ended."""

CLOSED = 141
"""Exit code where the reader of the output has closed it (``| head -1``), as shells give it for SIGPIPE."""

_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(onnxfp.__version__, prog_name="onnxfp")
@click.option("-v", "--verbose", is_flag=True, help="Say on stderr what is being done.")
def cli(verbose: bool) -> None:
    """Is this classifier derived from mine?

    The owner makes a fingerprint of an ONNX model with `onnxfp generate`; anyone asks a suspect with `onnxfp verify`.

    Exit codes: 0 done or MATCH, 10 NO_MATCH, 11 INCONCLUSIVE, 2 usage, 3 model, 4 bundle, responses or attestation,
    5 trust, 6 execution, 7 files, keys and network, 130 interrupted, 141 output closed, 1 a bug in onnxfp.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname_lower)s: %(message)s"))
    handler.addFilter(_make_plain)
    logger = logging.getLogger("onnxfp")
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    # It would speak of its font cache, which is nobody's concern.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


for _command in (check, generate, verify, export, evaluate, inspect, keygen, keys, commit, timestamp):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after ``onnxfp``; ``None`` takes those of the process.

    Returns:
        The exit code.
    """
    try:
        code = cli.main(args=arguments, prog_name="onnxfp", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except SystemExit as error:
        # The one way in which click leaves by itself here: it found the output closed.
        if error.code != 1:
            raise
        return CLOSED
    except OSError as error:
        # An error about a file names it; this one is of the output.
        if error.errno not in _NO_SPACE or error.filename is not None:
            raise
        _drop_output()
        click.echo(f"error: the output cannot be written: {error.strerror}", err=True)
        click.echo("hint: make room, or send the output elsewhere", err=True)
        return FileError.exit_code
    except OnnxfpError as error:
        # Messages repeat names out of strangers' files, which must not steer the terminal.
        click.echo(f"error: {escape_text(str(error), keep_lines=True)}", err=True)
        if error.hint:
            click.echo(f"hint: {escape_text(error.hint, keep_lines=True)}", err=True)
        return error.exit_code
    return code if isinstance(code, int) else 0


def _drop_output() -> None:
    """Send what is still held back nowhere: the interpreter would fail on it once more as it ends."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _make_plain(record: logging.LogRecord) -> bool:
    record.levelname_lower = record.levelname.lower()
    record.msg, record.args = escape_text(record.getMessage(), keep_lines=True), None
    return True


if __name__ == "__main__":
    sys.exit(main())

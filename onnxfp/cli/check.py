"""``onnxfp check``: will a fingerprint of this model work?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxfp.cli.options import FILE, input_options, json_option, limit_options, read_limits, read_model_io


@click.command()
@click.argument("model", type=FILE)
@input_options
@limit_options
@json_option
@click.pass_context
def check(context: click.Context, /, model: Path, as_json: bool, **options: Any) -> None:
    """Look whether MODEL can be fingerprinted: inputs, outputs, operators, the copy's scores and gradient, speed.

    Exit code: 0 if it can, 3 if not.
    """
    import onnxfp
    from onnxfp.cli.render.bundle import print_check
    from onnxfp.errors import ModelError

    found = onnxfp.check(
        model,
        io=read_model_io(options),
        execution=onnxfp.Execution(limits=read_limits(options)),
    )
    print_check(found, model, as_json=as_json)
    context.exit(ModelError.exit_code if found.problem else 0)

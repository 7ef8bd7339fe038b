"""``onnxfp generate``: make the fingerprint of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxfp.cli.options import (
    FILE,
    FILE_OR_FOLDER,
    input_options,
    json_option,
    limit_options,
    passphrase_options,
    read_limits,
    read_model_io,
)
from onnxfp.limits import MAX_DRAWS, MAX_EXAMPLES, MAX_SEED, MAX_STEPS


@click.command()
@click.argument("model", type=FILE)
@click.option("-o", "--output", type=FILE, default=None, help="Where the bundle goes [default: MODEL with .fp.npz].")
@click.option("--force", is_flag=True, help="Replace an existing fingerprint; it cannot be made again to the byte.")
@click.option(
    "-n",
    "--examples",
    "n_examples",
    type=click.IntRange(1, MAX_EXAMPLES),
    default=None,
    help="Examples [default: 300; with more than 100 classes 100].",
)
@click.option("--kind", type=click.Choice(["c", "rc", "ltrc", "eot"]), default=None, help="Kind of examples.")
@click.option(
    "--spectrum", type=click.Choice(["white", "coarse", "pink"]), default=None, help="Spectrum of the random seeds."
)
@click.option("--epsilon", type=float, default=None, help="Largest distance from a seed, in units of --bounds.")
@click.option(
    "--steps", "n_steps", type=click.IntRange(1, MAX_STEPS), default=None, help="Gradient steps [default: 50]."
)
@click.option("--step-size", type=float, default=None, help="Length of one step, in units of --bounds.")
@click.option("--noise", type=float, default=None, help="Weight noise delta, relative to each tensor (all but c).")
@click.option(
    "--draws",
    "n_draws",
    type=click.IntRange(1, MAX_DRAWS),
    default=None,
    help="Draws q of noise in each step [default: 1].",
)
@click.option("--cutoff", type=click.IntRange(0), default=None, help="Side k of the DCT block removed (ltrc, eot).")
@click.option(
    "--gradient",
    type=click.Choice(["copy", "estimate"]),
    default="copy",
    show_default=True,
    help="From the torch copy, or estimated by queries: slow, kind c only, for models that cannot be converted.",
)
@click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=0, show_default=True, help="Another seed, other examples."
)
@click.option(
    "--reference",
    "references",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="An unassociated model, or a folder of them; their match counts go into the bundle. Repeatable.",
)
@click.option(
    "--avoid",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="Another unassociated model, or a folder of them, that examples are kept from matching. Repeatable.",
)
@click.option(
    "--ancestor",
    "ancestors",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="A model from which MODEL derives, such as a public checkpoint, or a folder of such. Repeatable.",
)
@click.option("--from-scratch", is_flag=True, help="Declare that MODEL derives from no other model.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--key", type=FILE, default=None, help="Private key [default: yours, made on first use].")
@passphrase_options
@input_options
@limit_options
@json_option
def generate(model: Path, output: Path | None, force: bool, as_json: bool, **options: Any) -> None:
    """Make the fingerprint of MODEL, an ONNX classifier.

    An interrupted run goes on where it stopped when the same command is given again.
    """
    import onnxfp
    from onnxfp.cli.outputs import check_outputs
    from onnxfp.cli.passphrase import ask_passphrase
    from onnxfp.cli.progress import generation_bar
    from onnxfp.cli.render.bundle import print_fingerprint

    output = output or model.with_suffix(".fp.npz")
    others = (*options["references"], *options["avoid"], *options["ancestors"])
    inputs = (model, *others, options["key"] or onnxfp.default_key_path())
    check_outputs({"--output": output}, (*inputs, options["passphrase_file"]))
    fields = ("kind", "spectrum", "epsilon", "n_steps", "step_size", "noise", "n_draws", "cutoff", "gradient", "seed")
    with generation_bar() as on_progress:
        fingerprint = onnxfp.generate(
            model,
            output=output,
            overwrite=force,
            n_examples=options["n_examples"],
            overrides=onnxfp.RecipeOverrides(**{field: options[field] for field in fields}),
            io=read_model_io(options),
            references=options["references"],
            avoid=options["avoid"],
            ancestors=options["ancestors"],
            from_scratch=options["from_scratch"],
            execution=onnxfp.Execution(options["device"], read_limits(options)),
            key=options["key"],
            passphrase=ask_passphrase(options["passphrase_file"]),
            on_progress=on_progress,
        )
    print_fingerprint(fingerprint, output, as_json=as_json)

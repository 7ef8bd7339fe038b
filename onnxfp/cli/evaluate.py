"""``onnxfp evaluate``: measure a fingerprint on modified copies of its base and on unassociated models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from onnxfp.cli.options import FILE, FILE_OR_FOLDER, Fixed, limit_options, public_key_option, read_limits
from onnxfp.cli.render.page import report_option, write_page


@click.command()
@click.argument("base", type=FILE)
@click.argument("fingerprint", type=FILE)
@click.option(
    "--reference",
    "references",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="An unassociated model, or a folder of them. Repeatable.",
)
@click.option(
    "--variant",
    "variants",
    type=FILE_OR_FOLDER,
    multiple=True,
    help="A modified copy of your own, or a folder of them. Repeatable.",
)
@click.option(
    "--suite",
    type=click.Choice(["quick", "standard", "full"]),
    default="quick",
    show_default=True,
    help="Which variants are made; standard and full also train some, given labelled data.",
)
@click.option(
    "--data",
    type=FILE,
    default=None,
    help=".npz file with images and, if there are any, labels: for usefulness, calibration and training "
    "[default: synthetic scenes].",
)
@click.option("--json", "output", type=FILE, default=None, help="Write the whole record to this file.")
@report_option
@public_key_option
@click.option("--alpha", type=float, default=None, help="Largest p-value that is a MATCH [default: 1e-6].")
@click.option("--jobs", type=click.IntRange(1), default=None, help="Models at once [default: one a core, 4 at most].")
@click.option("--provider", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--fix",
    "fixed",
    type=Fixed(),
    multiple=True,
    help="Value of another graph input of the base, one number or all of them. Repeatable.",
)
@limit_options
def evaluate(base: Path, fingerprint: Path, output: Path | None, page: Path | None, **options: Any) -> None:
    """Measure FINGERPRINT on modified copies of BASE and on unassociated models.

    Copies are made here: pruned, quantised, noisy, laundered, trained further. Each is asked the examples, and so is
    the base with compressed, resized and shifted inputs. What is still a useful model should match, and no
    unassociated model should. An interrupted run goes on where it stopped when the same command is given again.
    """
    import onnxfp
    from onnxfp.cli.outputs import check_outputs
    from onnxfp.cli.progress import evaluation_bar
    from onnxfp.cli.render.evaluation import print_evaluation

    inputs = (base, fingerprint, options["data"], options["public_key"], *options["references"], *options["variants"])
    check_outputs({"--json": output, "--report": page}, inputs)
    # Before the long work, so that page and evaluation are of one bundle.
    loaded = onnxfp.load(fingerprint, public_key=options["public_key"]) if page is not None else None
    default = onnxfp.Policy()
    alpha = default.alpha if options["alpha"] is None else options["alpha"]
    with evaluation_bar() as on_progress:
        evaluation = onnxfp.evaluate(
            base,
            fingerprint,
            references=options["references"],
            variants=options["variants"],
            suite=options["suite"],
            data=options["data"],
            output=output,
            public_key=options["public_key"],
            policy=onnxfp.Policy(alpha=alpha, no_match_above=max(alpha, default.no_match_above)),
            fixed=dict(options["fixed"]),
            execution=onnxfp.Execution(options["provider"], read_limits(options)),
            jobs=options["jobs"],
            on_progress=on_progress,
        )
    if page is not None and loaded is not None:
        from onnxfp.report.html.evaluation_page import render_evaluation

        write_page(page, render_evaluation(evaluation, loaded, fingerprint.name))
    print_evaluation(evaluation, fingerprint)
    if output is not None:
        click.echo(f"record in {output}")
    if page is not None:
        click.echo(f"shown in {page}")

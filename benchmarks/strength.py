"""Which examples survive theft: one change of the recipe at a time, on many thefts. Writes STRENGTH.md.

    make benchmark-strength

An arm is a recipe, or a recipe with models that its examples were kept from matching. Few classes: the base of models/,
on which the defaults were chosen, and two bases on which nothing was (another seed, another architecture), with thefts
that were really trained (onnxfp.variants, on 20,000 training images) and independent models. Many classes: MobileNetV2,
and EfficientNet-Lite0 as the base on which nothing was chosen, with the thefts that need no true labels. Every theft is
made once and asked the examples of all arms and seeds; thefts, examples and answers are kept in .cache/strength as they
come, so that an interrupted run goes on. With ``--part`` one group of bases is measured, and its section written anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

import onnxfp
from benchmarks import comparison, strength_aims, strength_pilot
from benchmarks.at_hand import HERE
from benchmarks.strength_bed import (
    DEFAULT_OF_FEW,
    DEFAULT_OF_MANY,
    FEW_ARMS,
    HELD_OUT_ARMS,
    HELD_OUT_MANY,
    MANY_ARMS,
    N_MEASURED,
    N_TUNED,
    TUNED_ON,
    Answers,
    Arm,
    Bed,
    examples,
    few_bed,
    is_useful,
    many_bed,
)
from benchmarks.tables import kept_section
from onnxfp.evidence.null import estimate_null
from onnxfp.evidence.priors import Prior
from onnxfp.evidence.uniqueness import Comparison, compare
from onnxfp.evidence.verdict import Policy
from onnxfp.variants.catalogue import list_input_transforms, list_variants

# What every arm is compared with: the defaults before there were others.
BEFORE = ("ltrc white", "ltrc pink")
N_RESAMPLES = 5000
PARTS = ("tuning", "held-out", "imagenet", "imagenet-held-out")
TEXT = """\
# Which examples survive theft

Written by `make benchmark-strength` ({versions}; {threads} threads).

Match rates in percent, means over seeds (and bases): 100 examples of each of three seeds on CIFAR-10, 40 on ImageNet
(*eot pink cutoff 0*: of one). *Left* is what the theft leaves of the base: its agreement with the base on {n_measured}
CIFAR-10 test images, and in brackets the accuracy that it lost, in points; on ImageNet the agreement on 240 crops of
photographs. A theft that lost more than 15 points (ImageNet: of agreement more than half) is a broken product: set in
brackets, and in no summary. Who steals an ImageNet model here has no labels: what is trained learns the base's own
answers to {n_crops} crops of eight other photographs.

*ltrc* is the default with few classes, *eot* with many. An arm differs from the default of its kind in what its name
says, and *eot* on CIFAR-10 by two draws a step. *Avoiding*: two of the unassociated models were avoided (`--avoid`),
and are left out of its summary. *Surviving*: crafted to be matched as well by three thefts that the owner made with
other images and another seed (pruned by 80 % and fine-tuned, distilled, extracted); no option, for what it gains on
such thefts it loses elsewhere.

Intervals: 95 %, bootstrap over models; *gain* compares with ltrc on white or pink seeds, the default before, on the
same models. *Needed* is the number of matches for a MATCH at 1e-6 if the unassociated models of the table were all that
is known, and *convicted* the share of thefts that reach it; the reach of a false accuser (FALSE_CLAIM.md) comes on top.
Seconds are those of this machine, busy with other work.

"""


def describe(title: str, beds: Sequence[Bed]) -> Iterator[str]:
    """Yield the lines of one group of bases."""
    answers = {bed.name: Answers(bed) for bed in beds}
    for kept in answers.values():
        kept.measure()
    arms = {arm.name: arm for arm in beds[0].arms}
    is_labelled = beds[0].truth is not None
    order = [variant.name for variant in list_variants("standard", has_labels=True)]
    order += [query.name for query in list_input_transforms("standard")]
    names = sorted({name for kept in answers.values() for name in kept.useful if name in order}, key=order.index)

    yield f"## {title}"
    yield ""
    yield "| theft | left | " + " | ".join(arms) + " |"
    yield "|---" * (2 + len(arms)) + "|"
    for name in names:
        on = [bed for bed in beds if name in answers[bed.name].useful]
        left, lost = np.mean([answers[bed.name].useful[name] for bed in on], axis=0)
        rates = [[answers[bed.name].rate(name, arm) for bed in on] for arm in arms]
        if np.isnan(rates).all():
            continue
        cells = [f"{100 * np.mean(row):.0f}" for row in rates]
        if not all(is_useful(bed, answers[bed.name], name) for bed in on):
            cells = [f"({cell})" for cell in cells]
        beside = f" ({100 * lost:+.0f})" if is_labelled else ""
        yield f"| {name} | {left:.0%}{beside} | " + " | ".join(cells) + " |"
    for name in dict.fromkeys(name for bed in beds for name in bed.references):
        on = [bed for bed in beds if name in bed.references]
        left = np.mean([answers[bed.name].useful[name][0] for bed in on])
        cells = [f"{100 * np.mean([answers[bed.name].rate(name, arm) for bed in on]):.0f}" for arm in arms]
        yield f"| **{name}** | {left:.0%} | " + " | ".join(cells) + " |"
    yield ""
    yield from _summary(beds, answers, arms)


def _summary(beds: Sequence[Bed], answers: Mapping[str, Answers], arms: Mapping[str, Arm]) -> Iterator[str]:
    found: dict[str, Comparison] = {}
    convicted: dict[str, list[str]] = {}
    gains: dict[str, str] = {}
    before = next(name for name in BEFORE if name in arms)
    for name, arm in arms.items():
        thefts = [
            (bed, model)
            for bed in beds
            for model in answers[bed.name].useful
            if model not in bed.references and is_useful(bed, answers[bed.name], model)
        ]
        thefts = [(bed, model) for bed, model in thefts if not np.isnan(answers[bed.name].rate(model, name))]
        others = [(bed, model) for bed in beds for model in bed.references if model not in arm.avoided]
        rates = {
            (side, other): np.array([answers[bed.name].rate(model, other) for bed, model in models])
            for side, models in (("variants", thefts), ("references", others))
            for other in (name, before)
        }
        found[name] = compare(rates["variants", name].tolist(), rates["references", name].tolist())
        gains[name] = _gain(*(rates[side, name] - rates[side, before] for side in ("variants", "references")))
        shares, needed = [], []
        for bed in beds:
            n = bed.n_examples * arm.n_seeds
            counts = [round(answers[bed.name].rate(model, name) * n) for where, model in others if where is bed]
            pool = Prior(tuple((count, n) for count in counts), "the table's unassociated models", None)
            n_classes = bed.base.output.n_classes or 2
            null = estimate_null((), (), pool, n_classes=n_classes, n_candidates=bed.n_asked)
            least = null.min_matches(Policy().alpha)
            needed.append("none" if least is None else f"{least}/{bed.n_asked}")
            mine = [rate for (where, _), rate in zip(thefts, rates["variants", name], strict=True) if where is bed]
            shares.append(np.mean([least is not None and rate * bed.n_asked >= least - 1e-9 for rate in mine]))
        convicted[name] = [", ".join(needed), f"{np.mean(shares):.0%}"]
    yield from comparison.statistics(found)
    yield f"| gain of the mean over {before} | " + " | ".join(gains[arm] for arm in arms) + " |"
    for number, label in enumerate(("needed", "convicted")):
        yield f"| {label} | " + " | ".join(convicted[arm][number] for arm in arms) + " |"
    seconds = [
        np.mean([examples(bed, arm, seed)[2] for bed in beds for seed in range(arm.n_seeds)]) for arm in arms.values()
    ]
    yield "| seconds an example | " + " | ".join(f"{value:.2f}" for value in seconds) + " |"
    yield ""


def _gain(variants: NDArray[np.float64], references: NDArray[np.float64]) -> str:
    """Return the mean gain of the uniqueness score and its interval: models are resampled, the same for both arms."""
    rng = np.random.default_rng(0)
    drawn = [side[rng.integers(0, len(side), (N_RESAMPLES, len(side)))].mean(axis=1) for side in (variants, references)]
    lower, upper = np.quantile(drawn[0] - drawn[1], (0.025, 0.975))
    return f"{variants.mean() - references.mean():+.2f} ({lower:+.2f} to {upper:+.2f})"


def main() -> None:
    """Measure what is missing, then write the table."""
    parser = argparse.ArgumentParser(description="Measure which examples survive theft.")
    parser.add_argument("--part", choices=PARTS, action="append", help="measure only this, and keep the others")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    held_out = [arm for arm in FEW_ARMS if arm.name in HELD_OUT_ARMS]
    parts: dict[str, tuple[str, Callable[[], Sequence[Bed]]]] = {
        "tuning": ("CIFAR-10, the base that the defaults were chosen on", lambda: [few_bed("base", FEW_ARMS)]),
        "held-out": (
            "CIFAR-10, two bases on which nothing was chosen: another seed, and a ResNet",
            lambda: [few_bed(name, held_out) for name in ("vgg_seed2", "resnet")],
        ),
        "imagenet": (
            "ImageNet, MobileNetV2, the base that the defaults were chosen on",
            lambda: [many_bed("mobilenet_v2", MANY_ARMS)],
        ),
        "imagenet-held-out": (
            "ImageNet, EfficientNet-Lite0, on which nothing was chosen, with two siblings",
            lambda: [many_bed("efficientnet_lite0", [arm for arm in MANY_ARMS if arm.name in HELD_OUT_MANY])],
        ),
    }
    # Made where they are measured: some models of a bed are trained for it.
    beds = {part: parts[part][1]() for part in arguments.part or PARTS}
    measured = {part: "\n".join(describe(parts[part][0], made)) for part, made in beds.items()}
    tried = "" if arguments.part else "\n".join(strength_pilot.pilot([bed for made in beds.values() for bed in made]))
    write({part: title for part, (title, _) in parts.items()}, measured, tried, arguments.threads)


def write(titles: Mapping[str, str], measured: Mapping[str, str], tried: str, n_threads: int) -> None:
    """Write the table; sections that were not measured stay as they are in it.

    Args:
        titles: Heading of every part's section.
        measured: Text of those that were measured.
        tried: Text of the pilot run, or nothing.
        n_threads: Threads of torch.
    """
    table = HERE / "STRENGTH.md"
    versions = {"onnxfp": onnxfp.__version__, "torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    head = TEXT.format(
        versions=", ".join(f"{name} {number}" for name, number in versions.items()),
        threads=n_threads,
        n_measured=N_MEASURED,
        n_crops=N_TUNED * len(TUNED_ON),
    )
    sections = {part: measured.get(part) or kept_section(table, f"## {title}") for part, title in titles.items()}
    judged = {
        "few classes": (sections["held-out"], DEFAULT_OF_FEW),
        "many classes": (sections["imagenet-held-out"], DEFAULT_OF_MANY),
    }
    pilots = tried or kept_section(table, strength_pilot.HEADING)
    text = "\n\n".join(
        section.strip() for section in (head, "\n".join(strength_aims.aims(judged)), *sections.values(), pilots)
    )
    table.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

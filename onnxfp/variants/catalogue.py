"""Every variant by name: what it is, how strong, and in which suite it is made.

Names are stable: a checkpoint, a record and a figure find a variant by them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import onnx

from onnxfp.errors import ModelError
from onnxfp.extras import require_extra
from onnxfp.variants import (
    channels,
    input_transforms,
    laundering,
    normalisation,
    precision,
    pruning,
    quantisation,
    student,
)
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.input_transforms import Images

if TYPE_CHECKING:
    from onnxfp.variants.training import Training

Suite = Literal["quick", "standard", "full"]
SUITES: tuple[Suite, ...] = ("quick", "standard", "full")


@dataclass(frozen=True, slots=True)
class Variant:
    """One modified copy of the base.

    Attributes:
        name: Stable name.
        family: Family, in words.
        parameter: Strength within the family, or ``None``.
        suite: The smallest suite that has it.
        make: Makes it.
        needs_labels: Whether it is trained on labelled data.
    """

    name: str
    family: str
    parameter: float | None
    suite: Suite
    make: Callable[[BaseAssets], onnx.ModelProto]
    needs_labels: bool = False


@dataclass(frozen=True, slots=True)
class InputTransform:
    """One way in which a service may change an image before its model sees it.

    Attributes:
        name: Stable name.
        family: Family, in words.
        parameter: Strength within the family, or ``None``.
        suite: The smallest suite that has it.
        transform: Changes images, see :mod:`onnxfp.variants.input_transforms`.
    """

    name: str
    family: str
    parameter: float | None
    suite: Suite
    transform: Callable[[Images], Images]


def list_variants(suite: Suite, *, has_labels: bool) -> tuple[Variant, ...]:
    """Return the variants of a suite, family by family.

    Args:
        suite: ``quick`` needs no training; each suite holds those before it.
        has_labels: Whether there are labelled data to train on.

    Raises:
        MissingExtraError: Some of them are trained, and torch is not installed.
    """
    found = tuple(v for v in _variants() if _holds(suite, v.suite) and (has_labels or not v.needs_labels))
    if any(v.needs_labels for v in found):
        require_extra("generate")
    return found


def list_input_transforms(suite: Suite) -> tuple[InputTransform, ...]:
    """Return the changes of images of a suite."""
    return tuple(query for query in _input_transforms() if _holds(suite, query.suite))


def _holds(suite: Suite, other: Suite) -> bool:
    return SUITES.index(other) <= SUITES.index(suite)


@cache
def _variants() -> tuple[Variant, ...]:
    return (*_pruned(), *_restandardised(), *_imprecise(), *_laundered(), *_trained())


def _graph(
    prefix: str,
    family: str,
    suite: Suite,
    values: Sequence[float],
    make: Callable[[onnx.ModelProto, float], onnx.ModelProto],
) -> list[Variant]:
    """Return one variant a strength, of a family that needs the graph alone."""

    def maker(value: float) -> Callable[[BaseAssets], onnx.ModelProto]:
        return lambda assets: make(assets.model, value)

    return [Variant(f"{prefix}-{value:g}", family, value, suite, maker(value)) for value in values]


def _pruned() -> list[Variant]:
    found = []
    for prefix, family, make, quick, more in (
        (
            "prune-global",
            "magnitude pruning, global",
            pruning.prune_globally,
            (0.2, 0.4, 0.6, 0.8),
            (0.1, 0.3, 0.5, 0.7),
        ),
        (
            "prune-layer",
            "magnitude pruning, per layer",
            pruning.prune_layers,
            (0.2, 0.4, 0.6),
            (0.1, 0.3, 0.5, 0.7, 0.8),
        ),
        (
            "prune-adaptive",
            "magnitude pruning, layer-adaptive",
            pruning.prune_adaptively,
            (0.2, 0.4, 0.6, 0.8),
            (0.1, 0.3, 0.5, 0.7),
        ),
        ("drop-channels", "structured pruning of channels", pruning.prune_channels, (0.05, 0.1), (0.2, 0.3)),
    ):
        both = [*_graph(prefix, family, "quick", quick, make), *_graph(prefix, family, "standard", more, make)]
        found += sorted(both, key=lambda variant: variant.parameter or 0.0)
    return found


def _restandardised() -> list[Variant]:
    def repaired(share: float, suite: Suite) -> Variant:
        def make(assets: BaseAssets) -> onnx.ModelProto:
            pruned = pruning.prune_adaptively(assets.model, share)
            return normalisation.give_statistics(pruned, assets.statistics_batches(), assets.channels)

        return Variant(f"prune-repair-{share:g}", "pruning and repair of channels", share, suite, make)

    def reestimated(n: int, suite: Suite) -> Variant:
        def make(assets: BaseAssets) -> onnx.ModelProto:
            trained = assets.channels | normalisation.stored_statistics(assets.model)
            return normalisation.give_statistics(assets.model, assets.statistics_batches(n), trained)

        return Variant(f"bn-reestimated-{n}", "batch normalisation re-estimated, inputs", n, suite, make)

    return [
        *(repaired(share, suite) for share, suite in ((0.5, SUITES[1]), (0.7, SUITES[0]), (0.8, SUITES[1]))),
        *(reestimated(n, suite) for n, suite in ((64, SUITES[0]), (16, SUITES[1]))),
    ]


def _imprecise() -> list[Variant]:
    def noisy(model: onnx.ModelProto, scale: float) -> onnx.ModelProto:
        return precision.add_noise(model, scale, seed=0)

    def by_channel(model: onnx.ModelProto, bits: float) -> onnx.ModelProto:
        return precision.round_weights(model, int(bits), per_channel=True)

    def by_tensor(model: onnx.ModelProto, bits: float) -> onnx.ModelProto:
        return precision.round_weights(model, int(bits), per_channel=False)

    def static(assets: BaseAssets) -> onnx.ModelProto:
        return quantisation.quantise_statically(assets.model, assets.calibration_batches())

    return [
        *_graph("weight-noise", "weight noise", "quick", (0.05, 0.1), noisy),
        *_graph("weight-noise", "weight noise", "standard", (0.15, 0.2), noisy),
        Variant("float16", "float16", 16, "quick", lambda assets: precision.to_half(assets.model)),
        Variant("int8-dynamic", "int8, dynamic", 8, "quick", lambda m: quantisation.quantise_dynamically(m.model)),
        Variant("int8-static", "int8, static QDQ", 8, "quick", static),
        *_graph("weight-bits-channel", "coarse weights, per channel", "quick", (6, 5, 4), by_channel),
        *_graph("weight-bits-channel", "coarse weights, per channel", "standard", (3,), by_channel),
        *_graph("weight-bits-tensor", "coarse weights, per tensor", "quick", (6, 5, 4), by_tensor),
        *_graph("weight-bits-tensor", "coarse weights, per tensor", "full", (3,), by_tensor),
    ]


def _laundered() -> list[Variant]:
    family = "laundering"

    def thorough(assets: BaseAssets) -> onnx.ModelProto:
        model = assets.model
        # Not every graph has channels that can be permuted; the rest of the laundering goes on without.
        with suppress(ModelError):
            model = channels.permute_channels(model, assets.seed)
        return laundering.rename(laundering.optimise(model, "basic"), assets.seed, assets.kept_names)

    return [
        Variant("launder-optimised", family, None, "quick", lambda m: laundering.optimise(m.model, "basic")),
        Variant("launder-fused", family, None, "quick", lambda m: laundering.optimise(m.model, "extended")),
        Variant("launder-folded", family, None, "quick", lambda m: laundering.fold_constants(m.model)),
        Variant("launder-renamed", family, None, "quick", lambda m: laundering.rename(m.model, m.seed, m.kept_names)),
        Variant("launder-opset", family, None, "quick", lambda m: laundering.change_opset(m.model)[0]),
        Variant("launder-permuted", family, None, "quick", lambda m: channels.permute_channels(m.model, m.seed)),
        Variant("launder-all", family, None, "quick", thorough),
    ]


# A new last layer on top of the others as they are.
_LAST_NEW: dict[str, Any] = {"layers": "last", "redone": "last", "learning_rate": 0.05}


def _trained() -> list[Variant]:
    def trained(
        name: str,
        family: str,
        parameter: float | None,
        suite: Suite,
        start: Callable[[BaseAssets], onnx.ModelProto] | None = None,
        **how: Any,
    ) -> Variant:
        def make(assets: BaseAssets) -> onnx.ModelProto:
            return _train(assets, how, start(assets) if start else None)

        return Variant(name, family, parameter, suite, make, needs_labels=True)

    def pruned(share: float, suite: Suite, epochs: float) -> Variant:
        def start(assets: BaseAssets) -> onnx.ModelProto:
            return pruning.prune_adaptively(assets.model, share)

        name, family = f"prune-finetune-{share:g}", "pruning and fine-tuning"
        return trained(name, family, share, suite, start, keep_zeros=True, epochs=epochs)

    def redone(suite: Suite, epochs: float) -> Variant:
        def make(assets: BaseAssets) -> onnx.ModelProto:
            # The new layer alone first: its early gradients would ruin the others.
            start = _train(assets, {**_LAST_NEW, "epochs": epochs / 2})
            return _train(assets, {"epochs": epochs}, start)

        family = "re-training, last layer new, all layers"
        return Variant(f"rtal-{epochs:g}", family, epochs, suite, make, needs_labels=True)

    found: list[Variant] = []
    for suite, epochs in ((SUITES[1], 2.0), (SUITES[2], 10.0)):
        found += [
            trained(f"ftll-{epochs:g}", "fine-tuning, last layer", epochs, suite, layers="last", epochs=epochs),
            trained(f"ftal-{epochs:g}", "fine-tuning, all layers", epochs, suite, epochs=epochs),
            trained(
                f"rtll-{epochs:g}", "re-training, last layer new", epochs, suite, **{**_LAST_NEW, "epochs": epochs}
            ),
            redone(suite, epochs),
        ]
    found += [pruned(share, SUITES[1], 2.0) for share in (0.5, 0.8)]
    found += [pruned(0.9, SUITES[2], 10.0)]
    found += [
        trained(f"adversarial-{epochs:g}", "adversarial fine-tuning", epochs, suite, adversarial=2 / 255, epochs=epochs)
        for suite, epochs in ((SUITES[1], 1.0), (SUITES[2], 5.0))
    ]
    for suite, epochs in ((SUITES[1], 10.0), (SUITES[2], 60.0)):
        for prefix, family, teacher in (
            ("distil", "distillation, soft labels", "soft labels"),
            ("extract", "extraction, hard labels", "hard labels"),
        ):
            anew: dict[str, Any] = {"redone": "all", "epochs": epochs, "learning_rate": 0.05, "teacher": teacher}
            found += [
                trained(f"{prefix}-{epochs:g}", family, epochs, suite, **anew),
                trained(
                    f"{prefix}-other-{epochs:g}",
                    f"{family}, another architecture",
                    epochs,
                    suite,
                    student.plain_network,
                    **anew,
                ),
            ]
    return found


def _train(assets: BaseAssets, how: dict[str, object], start: onnx.ModelProto | None = None) -> onnx.ModelProto:
    # Imported here: a quick evaluation needs no torch.
    from onnxfp.variants.training import Training, train_copy

    training: Training = Training(**how)  # type: ignore[arg-type]
    return train_copy(assets, training, start)


@cache
def _input_transforms() -> tuple[InputTransform, ...]:
    q = input_transforms
    found: list[tuple[str, str, float, Suite, Callable[[Images], Images]]] = [
        ("query-8-bits", "rounding of pixels", 8, "quick", lambda x: q.reduce_depth(x, 8)),
        ("query-5-bits", "rounding of pixels", 5, "quick", lambda x: q.reduce_depth(x, 5)),
        ("query-4-bits", "rounding of pixels", 4, "standard", lambda x: q.reduce_depth(x, 4)),
        ("query-jpeg-90", "JPEG", 90, "quick", lambda x: q.compress(x, 90)),
        ("query-jpeg-75", "JPEG", 75, "quick", lambda x: q.compress(x, 75)),
        ("query-jpeg-50", "JPEG", 50, "standard", lambda x: q.compress(x, 50)),
        ("query-resize-2", "resizing there and back", 2, "quick", lambda x: q.resize_and_back(x, 2.0)),
        ("query-resize-0.75", "resizing there and back", 0.75, "quick", lambda x: q.resize_and_back(x, 0.75)),
        ("query-resize-0.5", "resizing there and back", 0.5, "standard", lambda x: q.resize_and_back(x, 0.5)),
        ("query-crop-0.95", "cropping", 0.95, "quick", lambda x: q.crop(x, 0.95)),
        ("query-crop-0.875", "cropping", 0.875, "standard", lambda x: q.crop(x, 0.875)),
        ("query-shift-1", "shift by pixels", 1, "quick", lambda x: q.shift(x, 1)),
        ("query-shift-2", "shift by pixels", 2, "standard", lambda x: q.shift(x, 2)),
        ("query-noise-4", "Gaussian noise, levels", 4, "quick", lambda x: q.add_noise(x, 4 / 255, 0)),
        ("query-noise-8", "Gaussian noise, levels", 8, "standard", lambda x: q.add_noise(x, 8 / 255, 0)),
    ]
    return tuple(InputTransform(*entry) for entry in found)

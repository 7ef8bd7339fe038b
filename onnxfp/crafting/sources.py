"""The two ways to gradients, ready to craft with: a torch copy that is checked, or queries to the model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from math import isinf

import torch

from onnxfp.crafting.gradients import CopyGradient, OfScores, Penalty, QueryGradient, affine_tensors, measure_agreement
from onnxfp.crafting.input_transforms import Transformations
from onnxfp.crafting.micro_batch import find_micro_batch
from onnxfp.recipe.derivation import DerivationContext
from onnxfp.runtime.session import ModelSession, open_unoptimised
from onnxfp.torch_copy.copy import TorchCopy, build_torch_copy
from onnxfp.torch_copy.gradient_check import measure_gradient
from onnxfp.torch_copy.parity import Parity, check_parity, measure_parity
from onnxfp.types import ModelInput

MAX_AT_ONCE = 256
"""Examples in one pass; more gain nothing."""
N_GRADIENT_PROBES = 8
"""Probes on which the copy's gradient is compared with finite differences."""

SUSPICIOUS_GRADIENT = 0.5
"""Relative difference from which on the owner is warned. Kinks disturb finite differences, so no copy is refused for
it: an example counts only when onnxruntime gives it its label, whatever the gradient was."""

_log = logging.getLogger(__name__)


class CopySource:
    """Gradients of the torch copy, which is compared with onnxruntime before and after.

    Args:
        session: The base model.
        plain: The same without onnxruntime's optimisations, to compare with.
        probes: ``(n, *shape)`` float32 model input to compare on, n at least 3.
        device: Where gradients are computed.
        avoided: Unassociated models that the examples shall not match; they take the same input.

    Raises:
        ConversionError: Some operators of the base or of an avoided model are not supported.
        ParityError: The copy of one of them disagrees with onnxruntime.
    """

    def __init__(
        self,
        session: ModelSession,
        plain: ModelSession,
        probes: ModelInput,
        device: torch.device,
        avoided: Sequence[ModelSession] = (),
    ) -> None:
        self.device, self._plain = device, plain
        tried = torch.from_numpy(probes).to(device)
        self._copy = _make_copy(session, tried)
        self._penalties = [compute_penalty(model, tried, probes) for model in avoided]
        self.passes = find_micro_batch(self._copy.score, tried, MAX_AT_ONCE)
        self._before = check_parity(self._copy, plain, probes)
        error = measure_gradient(self._copy, plain, probes[:N_GRADIENT_PROBES])
        if error is not None and isinf(error):
            _log.warning("the torch copy's gradient overflows for some inputs: no step is taken where it does")
        elif error is not None and error > SUSPICIOUS_GRADIENT:
            _log.warning(
                "the torch copy's gradient differs from onnxruntime's finite differences by %.0f%%: examples may not "
                "reach their labels",
                100 * error,
            )

    @property
    def has_weights(self) -> bool:
        """Whether the copy has weights that noise can reach."""
        return bool(self._copy.weights())

    def gradient(self, context: DerivationContext, *, gives_probabilities: bool) -> CopyGradient:
        """Return the gradient for a recipe; kind ``c`` leaves the weights alone."""
        weights = [] if context.recipe.kind == "c" else list(self._copy.weights().values())
        scale, offset = affine_tensors(context, self.device)
        n_draws = context.recipe.n_draws
        return CopyGradient(
            self._copy.score,
            weights,
            scale,
            offset,
            n_draws=n_draws,
            gives_probabilities=gives_probabilities,
            passes=self.passes,
            transformations=Transformations(context.shape, context.spatial_axes)
            if context.recipe.kind == "eot"
            else None,
            penalties=self._penalties,
        )

    def parity(self, batches: Iterable[ModelInput]) -> Parity:
        """Return the copy's agreement with onnxruntime on the probes and on the finished examples together."""
        found = self._before
        for inputs in batches:
            after = measure_parity(self._copy, self._plain, inputs)
            found = Parity(
                max(found.max_abs_difference, after.max_abs_difference),
                max(found.max_rel_difference, after.max_rel_difference),
                max(found.median_rel_difference, after.median_rel_difference),
                found.n_label_flips + after.n_label_flips,
                found.n_inputs + after.n_inputs,
            )
        return found


def _make_copy(session: ModelSession, probes: torch.Tensor) -> TorchCopy:
    """Return a model's torch copy, on the probes' device."""
    copy = build_torch_copy(
        session.model.load_proto(),
        input_name=session.input.name,
        output_name=session.output.name,
        fixed=session.fixed,
    )
    copy.to(probes.device)
    copy.adapt(session.output.kind, session.input.batch, probes)
    return copy


def compute_penalty(
    session: ModelSession, tried: torch.Tensor, probes: ModelInput, of_scores: OfScores = measure_agreement
) -> Penalty:
    """Return what a model's scores add to the loss, by its torch copy.

    Args:
        session: The model, which takes the base's own input.
        tried: The probes, on the device where gradients are computed.
        probes: ``(n, *shape)`` float32 model input, n at least 3.
        of_scores: The penalty of scores and labels; by default one for matching.

    Raises:
        ConversionError: Some operators are not supported.
        ParityError: The copy disagrees with onnxruntime.
    """
    copy, gives_probabilities = _make_copy(session, tried), session.gives_probabilities(probes)
    check_parity(copy, open_unoptimised(session), probes)

    def penalty(x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return of_scores(copy.score(x), labels, gives_probabilities=gives_probabilities)

    return penalty


class QuerySource:
    """Gradients estimated by queries; there is no copy, and nothing to compare.

    Args:
        session: The base model; must give scores.
    """

    device = torch.device("cpu")

    def __init__(self, session: ModelSession) -> None:
        self._session = session

    def gradient(self, context: DerivationContext, *, gives_probabilities: bool) -> QueryGradient:
        """Return the estimator for a recipe."""
        scale, offset = affine_tensors(context, self.device)
        return QueryGradient(
            self._score,
            scale,
            offset,
            shape=context.shape,
            spatial_axes=context.spatial_axes,
            n_directions=context.recipe.n_draws,
            gives_probabilities=gives_probabilities,
        )

    def parity(self, _: Iterable[ModelInput]) -> None:
        """Return nothing: there is no copy."""
        return

    def _score(self, x: torch.Tensor) -> torch.Tensor:
        scores = self._session.answer(x.numpy()).scores
        assert scores is not None  # noqa: S101 - the base was required to give scores
        return torch.from_numpy(scores)

"""Whether a base is nearly linear, by its answers (:mod:`onnxfp.suspects.curvature`)."""

from __future__ import annotations

from onnxfp.recipe.derivation import DerivationContext, derive_seeds
from onnxfp.runtime.session import Answers, ModelSession
from onnxfp.suspects.curvature import is_nearly_linear
from onnxfp.suspects.curvature_questions import MAX_QUADRUPLES, ask_curvature
from onnxfp.types import Levels


def find_base_linearity(session: ModelSession, context: DerivationContext) -> bool | None:
    """Return whether a base is nearly linear, asked seeds and mixtures of them; ``None`` where it does not show.

    Args:
        session: The base.
        context: What its seeds are derived from.

    Raises:
        SuspectError: The base failed while it ran.
    """

    def ask(levels: Levels) -> Answers:
        return session.answer(context.grid.to_model_input(levels))

    seeds = derive_seeds(context, range(2 * MAX_QUADRUPLES))
    curvature = ask_curvature(ask, seeds, ask(seeds), context.spatial_axes, context.digest().hex())
    return is_nearly_linear(curvature)

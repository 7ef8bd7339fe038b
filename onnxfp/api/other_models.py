"""Other models at generation: references, models to avoid, ancestors."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnxfp.bundle.manifest import AncestorResult, BaseModel, Lineage
from onnxfp.errors import ContractError, ParameterError
from onnxfp.evidence.null import ReferenceCount
from onnxfp.execution import Execution
from onnxfp.model.onnx_file import OnnxFile
from onnxfp.model_io import ModelIO
from onnxfp.recipe.recipe import Gradient
from onnxfp.runtime.session import ModelSession
from onnxfp.suspects.references import Models, model_files, open_like, open_pool

if TYPE_CHECKING:
    pass


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class OtherFiles:
    """Files and folders of other models, as the owner gives them, and the declaration that there is no ancestor."""

    references: Models
    avoid: Models
    ancestors: Models
    is_from_scratch: bool


@dataclass(frozen=True, slots=True, eq=False)
class OtherModels:
    """Other models, open: those to count matches of, and those to avoid.

    ``other_ancestors`` are the digests of ancestors with other classes or another input, which cannot be asked.
    """

    references: list[ModelSession]
    avoided: list[ModelSession]
    ancestors: list[ModelSession]
    other_ancestors: tuple[str, ...]
    is_from_scratch: bool

    @property
    def all_avoided(self) -> list[ModelSession]:
        """Unassociated models and ancestors that examples are kept from matching."""
        return [*self.avoided, *self.ancestors]


def open_other_models(
    files: OtherFiles, base: OnnxFile, spec: BaseModel, gradient: Gradient, execution: Execution, io: ModelIO
) -> OtherModels:
    """Open the other models, so that one that does not fit is found before the long work.

    Args:
        files: The other models.
        base: The base's file.
        spec: Its description.
        gradient: Origin of the gradients: none are estimated of models to avoid.
        execution: Device and limits.
        io: Values of other graph inputs.

    Raises:
        ParameterError: One does not fit the base or the others.
        ModelError: One cannot be used.
        FileError: One cannot be read.
    """
    pool, avoided = (open_pool(models, spec, execution, io.fixed) for models in (files.references, files.avoid))
    ancestors, others = _open_ancestors(files.ancestors, spec, execution, io)
    _check_avoided([*avoided, *ancestors], spec, pool, gradient)
    if not (ancestors or others or files.is_from_scratch):
        _log.warning(
            "nothing is declared about the descent of %s: a MATCH will mean common lineage. Declare its ancestors with "
            "--ancestor, or --from-scratch",
            base.path,
        )
    return OtherModels(pool, avoided, ancestors, others, files.is_from_scratch)


def _open_ancestors(
    ancestors: Models, spec: BaseModel, execution: Execution, io: ModelIO
) -> tuple[list[ModelSession], tuple[str, ...]]:
    """Open the ancestors that can be asked, and return the digests of the others."""
    opened, others = [], []
    for file in model_files(ancestors):
        if file.digest == spec.digest:
            raise ParameterError(f"{file.path} is the base itself, and no ancestor of it", hint="leave it out")
        try:
            session = open_like(file, spec, execution, io.fixed)
        except ContractError:
            others.append(file.digest)
            continue
        if session.input.shape == spec.input.shape:
            opened.append(session)
        else:
            others.append(file.digest)
    if others:
        _log.warning(
            "%d of the ancestors have other classes or another input than the base: they are recorded, and examples "
            "are not kept from matching them",
            len(others),
        )
    return opened, tuple(others)


def describe_lineage(pools: OtherModels, counts: Iterable[ReferenceCount]) -> Lineage:
    """Return the owner's declaration, with the matches of the ancestors."""
    asked = [AncestorResult(count.digest, count.n_matches) for count in counts]
    ancestors = (*asked, *(AncestorResult(digest, None) for digest in pools.other_ancestors))
    if ancestors:
        return Lineage("declared", ancestors)
    return Lineage("from scratch" if pools.is_from_scratch else "undeclared")


def _check_avoided(
    avoided: Sequence[ModelSession], base: BaseModel, pool: Sequence[ModelSession], gradient: Gradient
) -> None:
    """Check the models that examples are kept from matching.

    Raises:
        ParameterError: One is a reference as well, takes another input, or there are no gradients to avoid it with.
    """
    if avoided and gradient == "estimate":
        raise ParameterError("models are avoided along gradients of torch copies", hint="leave out --gradient estimate")
    recorded = {session.model.digest for session in pool}
    for session in avoided:
        if session.model.digest in recorded:
            raise ParameterError(
                f"{session.model.path} is to be avoided, and a reference: its match count would say nothing of others",
                hint="give it once, as --avoid or as --reference",
            )
        if session.input.shape != base.input.shape:
            raise ParameterError(
                f"{session.model.path} takes examples of shape {session.input.shape}, the base of {base.input.shape}",
                hint="only a model that takes the base's own input can be avoided",
            )

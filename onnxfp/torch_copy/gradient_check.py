"""Is the torch copy's gradient right? Compared with what onnxruntime's own scores do when the input moves."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from onnxfp.errors import ParityError
from onnxfp.runtime.session import ModelSession
from onnxfp.torch_copy.copy import TorchCopy
from onnxfp.types import ModelInput

# Shares of the input's range. Kinks disturb a long step, rounding a short one; a wrong gradient is wrong at both.
_STEPS = (1e-3, 1e-4)
# Where the input takes integers, which nothing smaller moves.
_WHOLE_STEPS = (1, 4)
_MIN_SPAN = 32

# A sum of scores moves by rounding alone, by a few units of its last place; what is not larger says nothing.
_ROUNDINGS = 16


def measure_gradient(copy: TorchCopy, session: ModelSession, inputs: ModelInput, seed: int = 0) -> float | None:
    """Return how far the copy's gradient is from a finite difference of onnxruntime's scores.

    A random sum of the scores is followed along the sign of its gradient, the direction in which examples are
    crafted, by a central difference. Kinks of the network (a ReLU that switches) disturb single inputs and long steps,
    so the median over the inputs is reported, at the step where it is smaller.

    Args:
        copy: The torch copy.
        session: The same model in onnxruntime.
        inputs: ``(n, *shape)`` float32 model input.
        seed: Seeds the random sum.

    Returns:
        Median of ``|difference - gradient| / |gradient|`` over the inputs where the two can be told from rounding;
        ``None`` where they nowhere can (saturated probabilities, say, or an input of few integers), infinite where the
        gradient is not finite.
    """
    span = float(np.ptp(inputs)) or 1.0
    steps = [np.float32(step * span) for step in _STEPS]
    if np.issubdtype(np.dtype(session.input.dtype), np.integer):
        if span < _MIN_SPAN:
            return None
        steps, most = [np.float32(step) for step in _WHOLE_STEPS], max(_WHOLE_STEPS)
        inputs = np.clip(np.rint(inputs), inputs.min() + most, inputs.max() - most)
    point = torch.from_numpy(inputs).to(copy.device).requires_grad_(True)
    scores = copy.score(point)
    mix = np.random.default_rng(seed).normal(size=scores.shape[1]).astype(np.float32)
    (gradient,) = torch.autograd.grad((scores @ torch.from_numpy(mix).to(copy.device)).sum(), point)
    slopes = gradient.cpu().numpy()
    if not np.isfinite(slopes).all():
        return float("inf")
    errors = [_error(session, inputs, slopes, mix, step) for step in steps]
    return min((error for error in errors if error is not None), default=None)


def _error(
    session: ModelSession, inputs: ModelInput, slopes: ModelInput, mix: NDArray[np.float32], step: np.float32
) -> float | None:
    """Return the median relative error at one step, or ``None`` where nothing can be told from rounding."""
    ahead, behind = (
        session.answer(inputs + sign * step * np.sign(slopes).astype(np.float32)).scores for sign in (1, -1)
    )
    if ahead is None or behind is None:
        raise ParityError(f"output {session.output.name!r} holds labels only, which have no gradient")
    moved = (ahead.astype(np.float64) - behind) @ mix
    predicted = 2.0 * float(step) * np.abs(slopes.astype(np.float64)).reshape(len(slopes), -1).sum(axis=1)
    rounding = _ROUNDINGS * np.finfo(np.float32).eps * (np.abs(ahead) @ np.abs(mix)).astype(np.float64)
    can_tell = np.maximum(np.abs(moved), predicted) > rounding
    if not can_tell.any():
        return None
    return float(np.median(np.abs(moved - predicted)[can_tell] / np.maximum(predicted, rounding)[can_tell]))

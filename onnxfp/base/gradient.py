"""Is the torch copy's gradient right? Compared with what onnxruntime's own scores do when the input moves."""

from __future__ import annotations

import numpy as np
import torch

from onnxfp.base.session import ModelSession
from onnxfp.base.torch_copy import TorchCopy
from onnxfp.errors import ParityError
from onnxfp.types import ModelInput

_STEP = 1e-3

# A sum of scores moves by rounding alone, by a few units of its last place; what is not larger says nothing.
_ROUNDINGS = 16


def measure_gradient(copy: TorchCopy, session: ModelSession, inputs: ModelInput, seed: int = 0) -> float | None:
    """Return how far the copy's gradient is from a finite difference of onnxruntime's scores.

    A random sum of the scores is followed along the sign of its gradient, the direction in which examples are
    crafted, by a central difference. Kinks of the network (a ReLU that switches) disturb single inputs, so the median
    over the inputs is reported.

    Args:
        copy: The torch copy.
        session: The same model in onnxruntime.
        inputs: ``(n, *shape)`` float32 model input.
        seed: Seeds the random sum.

    Returns:
        Median of ``|difference - gradient| / |gradient|`` over the inputs where the two can be told from rounding;
        ``None`` where they nowhere can (saturated probabilities, say), infinite where the gradient is not finite.
    """
    span = float(np.ptp(inputs)) or 1.0
    step = np.float32(_STEP * span)
    point = torch.from_numpy(inputs).to(copy.device).requires_grad_(True)
    scores = copy.score(point)
    mix = np.random.default_rng(seed).normal(size=scores.shape[1]).astype(np.float32)
    (gradient,) = torch.autograd.grad((scores @ torch.from_numpy(mix).to(copy.device)).sum(), point)
    slopes = gradient.cpu().numpy()
    ahead, behind = (
        session.answer(inputs + sign * step * np.sign(slopes).astype(np.float32)).scores for sign in (1, -1)
    )
    if ahead is None or behind is None:
        raise ParityError(f"output {session.output.name!r} holds labels only, which have no gradient")
    moved = (ahead.astype(np.float64) - behind) @ mix
    predicted = 2.0 * float(step) * np.abs(slopes.astype(np.float64)).reshape(len(slopes), -1).sum(axis=1)
    if not np.isfinite(predicted).all():
        return float("inf")
    rounding = _ROUNDINGS * np.finfo(np.float32).eps * (np.abs(ahead) @ np.abs(mix)).astype(np.float64)
    larger = np.maximum(np.abs(moved), predicted)
    can_tell = larger > rounding
    if not can_tell.any():
        return None
    return float(np.median(np.abs(moved - predicted)[can_tell] / np.maximum(predicted, rounding)[can_tell]))

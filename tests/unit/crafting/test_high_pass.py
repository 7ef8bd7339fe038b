"""The high-pass filter against SciPy's DCT."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from onnxfp.crafting.high_pass import HighPass
from onnxfp.errors import ParameterError


@pytest.mark.parametrize(
    ("shape", "axes", "cutoff"),
    [((3, 16, 16), (1, 2), 5), ((12, 20, 3), (0, 1), 7), ((4, 50), (1,), 10), ((3, 8, 8), (1, 2), 1)],
)
def test_the_lowest_block_is_gone_and_the_rest_untouched(
    shape: tuple[int, ...], axes: tuple[int, ...], cutoff: int
) -> None:
    signal = np.random.default_rng(0).normal(size=(2, *shape))
    filtered = HighPass(shape, axes, cutoff)(torch.from_numpy(signal).float()).double().numpy()
    batched = [a + 1 for a in axes]
    before, after = (scipy.fft.dctn(s, axes=batched, norm="ortho") for s in (signal, filtered))
    low = tuple(slice(cutoff) if a in batched else slice(None) for a in range(signal.ndim))
    np.testing.assert_allclose(after[low], 0, atol=1e-5)
    before[low] = 0
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_without_cutoff_or_axes_nothing_changes() -> None:
    signal = torch.randn(2, 3, 8, 8)
    assert HighPass((3, 8, 8), (1, 2), 0)(signal) is signal
    assert HighPass((3, 8, 8), (), 4)(signal) is signal


def test_a_cutoff_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(ParameterError, match="every frequency"):
        HighPass((3, 8, 8), (1, 2), 8)

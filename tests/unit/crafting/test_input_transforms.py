"""Input transformations: what a service really does, gradients that lead past it, and every layout."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from onnxfp.crafting import input_transforms
from onnxfp.crafting.input_transforms import Transformations, compress, crop, resize_and_back, shift, unchanged
from onnxfp.errors import ParameterError
from onnxfp.variants import input_transforms as query_transforms


def images(*shape: int) -> torch.Tensor:
    """Return coarse noise, on the grid of 8-bit images."""
    small = np.random.default_rng(0).random((*shape[:2], shape[2] // 2, shape[3] // 2))
    return torch.from_numpy(np.rint(small.repeat(2, 2).repeat(2, 3) * 255).astype(np.float32) / 255)


def test_resizing_cropping_and_shifts_are_those_of_a_service() -> None:
    x = images(4, 3, 32, 32)
    for factor in (0.5, 0.75, 2.0):
        assert (
            np.abs(resize_and_back(x, factor).numpy() - query_transforms.resize_and_back(x.numpy(), factor)).max()
            < 0.51 / 255
        )
    assert np.abs(crop(x, (1, 1, 1, 1)).numpy() - query_transforms.crop(x.numpy(), 0.95)).max() < 0.51 / 255
    assert (shift(x, 2, 2).numpy() == query_transforms.shift(x.numpy(), 2)).all()
    assert torch.equal(shift(x, -1, 0)[:, :, :-1], x[:, :, 1:])


@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("quality", [40, 75, 95])
def test_jpeg_is_nearly_the_codec(n_channels: int, quality: int) -> None:
    x = images(4, n_channels, 32, 32)
    real = query_transforms.compress(x.numpy(), quality)
    error, change = (np.abs(real - other.numpy()).mean() for other in (compress(x, quality), x))
    # What is left differs by how the codec interpolates chroma and rounds once more.
    assert error < 4.5 / 255
    assert error < change / 3 or change < 2 / 255


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (8, 8), (33, 40)])
def test_jpeg_takes_every_size(size: tuple[int, int]) -> None:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert compress(x, 90).shape == x.shape
    flat = torch.full_like(x, 0.5)
    assert (compress(flat, 90) - flat).abs().max() < 1.01 / 255


def test_what_jpeg_removes_passes_hardly_any_gradient() -> None:
    checkers = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    x = (0.5 + checkers / 500).reshape(1, 1, 8, 8).requires_grad_(True)
    found = compress(x, 50)
    assert float((found.detach() - found.detach().mean()).abs().max()) < 1 / 255
    (gradient,) = torch.autograd.grad((found * checkers).sum(), x)
    assert float(gradient.abs().max()) < 0.01


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3, 12, 16), (1, 2)), ((12, 16, 3), (0, 1)), ((1, 9, 9), (1, 2)), ((5, 9, 9), (1, 2)), ((9, 9), (0, 1))],
)
def test_every_layout_keeps_its_shape_and_range(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    drawn, generator = Transformations(shape, axes), torch.Generator().manual_seed(0)
    x = torch.rand(2, *shape, generator=generator).requires_grad_(True)
    kinds = set()
    for _ in range(60):
        change = drawn.draw(generator)
        found = change(x)
        assert found.shape == x.shape
        assert float(found.detach().min()) > -1e-5
        assert float(found.detach().max()) < 1 + 1e-5
        (gradient,) = torch.autograd.grad(found.sum(), x)
        assert torch.isfinite(gradient).all()
        kinds.add("unchanged" if change is unchanged else change.args[0].func.__name__)  # type: ignore[attr-defined]
    expected = {"unchanged", "shift", "crop", "resize_and_back", "_add"}
    assert kinds == (expected | {"compress"} if shape != (5, 9, 9) else expected)


def test_channels_last_is_the_same_image() -> None:
    x = images(2, 3, 16, 16)
    for seed in range(20):
        first, last = (
            Transformations(shape, axes).draw(torch.Generator().manual_seed(seed))
            for shape, axes in (((3, 16, 16), (1, 2)), ((16, 16, 3), (0, 1)))
        )
        found = last(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        assert torch.allclose(first(x), found, atol=1e-6)


def test_only_images_can_be_transformed() -> None:
    with pytest.raises(ParameterError, match="those of images") as raised:
        Transformations((2, 64), (1,))
    assert "--kind" in raised.value.hint


def test_the_tables_are_the_codecs() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=50)
    with Image.open(stream) as opened:
        tables = [tuple(opened.quantization[number]) for number in (0, 1)]  # type: ignore[attr-defined]
    assert tables == [sum(table, ()) for table in (input_transforms._LUMINANCE, input_transforms._CHROMINANCE)]

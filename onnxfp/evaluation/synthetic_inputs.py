"""Inputs that stand in for photographs where the user gives none.

Images are *dead leaves*: ellipses of many sizes and colours that hide one another, over and under noise with a 1/f
spectrum. They share edges, occlusion and the spectrum with photographs, and a classifier spreads them over most of its
classes, where noise alone is nearly all of one class to it. What is no image is drawn like the seeds of examples.

References:
    Lee, Mumford and Huang, *Occlusion Models for Natural Images*, IJCV 41 (2001), 35-59.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from onnxfp.bundle.manifest import Manifest
from onnxfp.recipe.derivation import derive_seeds
from onnxfp.types import Levels

_LEAVES = (3, 25)
_MIN_RADIUS, _MAX_RADIUS, _DECAY = 0.04, 0.6, 0.7
_TEXTURE = 0.35


def synthesise(manifest: Manifest, n_inputs: int) -> Levels:
    """Return inputs for a model, always the same for a manifest.

    Args:
        manifest: Describes the base's input.
        n_inputs: Number of inputs n.

    Returns:
        ``(n, *shape)`` grid levels.
    """
    context, grid, spec = manifest.derivation_context(), manifest.grid, manifest.base.input
    recipe = replace(context.recipe, spectrum="pink") if context.spatial_axes else context.recipe
    seeds = derive_seeds(replace(context, recipe=recipe), range(n_inputs))
    if spec.layout not in ("NCHW", "NHWC"):
        return seeds
    most = grid.n_levels - 1
    textures = seeds.astype(np.float32) / np.float32(most)
    textures = textures if spec.layout == "NCHW" else textures.transpose(0, 3, 1, 2)
    rng = np.random.default_rng(0)
    images = np.stack([np.clip(_scene(t.shape, rng) + _TEXTURE * (t - 0.5), 0, 1) for t in textures])
    images = images if spec.layout == "NCHW" else images.transpose(0, 2, 3, 1)
    levels: Levels = np.rint(images * most).astype(grid.dtype)
    return levels


def _scene(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float64]:
    n_channels, height, width = shape
    rows, columns = np.mgrid[:height, :width] / max(height, width)
    scene = np.broadcast_to(np.clip(rng.normal(0.5, 0.25, (n_channels, 1, 1)), 0, 1), shape).copy()
    for _ in range(rng.integers(*_LEAVES)):
        radius = min(_MIN_RADIUS * (1.0 - rng.random()) ** -_DECAY, _MAX_RADIUS)
        y, x = rng.random(2)
        stretch, angle = rng.uniform(0.4, 2.5), rng.uniform(0, np.pi)
        along = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
        across = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
        leaf = along**2 * stretch + across**2 / stretch < radius**2
        scene[:, leaf] = np.clip(rng.normal(0.5, 0.28), 0, 1) + rng.normal(0, 0.08, (n_channels, 1))
    return scene

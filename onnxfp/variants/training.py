"""Variants that take labelled data: fine-tuning, pruning and fine-tuning, adversarial training, extraction.

The torch copy is trained, and its weights are written back into the graph, so that what is asked is again an ONNX file
in onnxruntime. Normalisation layers stay in evaluation mode, as they are in the graph.

References:
    FTLL, FTAL, RTLL and RTAL (the last layer or all layers; fine-tuned, or with the last layer re-initialised): Adi et
    al., arXiv:1802.04633. Adversarial training by projected gradient descent: Madry et al., arXiv:1706.06083. Soft
    labels: Hinton et al., arXiv:1503.02531; hard ones, extraction: Orekondy et al., arXiv:1812.02766. Every number is
    this project's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.crafting.gradients import compute_loss
from onnxfp.errors import ModelError, ParameterError
from onnxfp.torch_copy.copy import TorchCopy, build_torch_copy
from onnxfp.torch_copy.device import choose_device
from onnxfp.variants.base_assets import BaseAssets
from onnxfp.variants.weights import find_weights, with_weights

Layers = Literal["last", "all"]
Teacher = Literal["data", "hard labels", "soft labels"]
Loss = Callable[[Tensor, Tensor], Tensor]

_BATCH = 64
_N_PROBES = 4
_TEMPERATURE = 4.0


@dataclass(frozen=True, slots=True)
class Training:
    """One way to train a copy.

    Attributes:
        layers: Which layers are trained.
        redone: Which layers are re-initialised before, or ``None``.
        teacher: Whose labels are learned: the data's, or the base's answers.
        epochs: Passes over the data.
        learning_rate: Peak of the one-cycle schedule.
        keep_zeros: Whether weights that are zero stay zero: fine-tuning after pruning.
        adversarial: Radius of the ball of adversarial examples, as a share of the inputs' range; 0 for none.
    """

    layers: Layers = "all"
    redone: Layers | None = None
    teacher: Teacher = "data"
    epochs: float = 1.0
    learning_rate: float = 0.002
    keep_zeros: bool = False
    adversarial: float = 0.0


def train_copy(assets: BaseAssets, training: Training, start: onnx.ModelProto | None = None) -> onnx.ModelProto:
    """Return a trained copy of a model.

    Args:
        assets: The base, with labelled inputs.
        training: How.
        start: The variant to begin with, in place of the base.

    Raises:
        ParameterError: There are no labels.
        ModelError: There are no weights to train, or training left the finite numbers.
        ConversionError: The model has operators that the torch copy lacks.
    """
    if assets.labels is None:
        raise ParameterError("training needs labelled data")
    model = assets.model if start is None else start
    device = choose_device("auto")
    student = _open(assets, model, device)
    weights = {name: weight for name, weight in student.weights().items() if name not in student.levels}
    if not weights:
        raise ModelError("the torch copy has no weights to train")
    generator = torch.Generator().manual_seed(assets.seed)
    last = _last_layer(model, set(weights))
    if training.redone is not None:
        _reinitialise([weights[name] for name in (last if training.redone == "last" else weights)], generator)
    trained = [weights[name] for name in (last if training.layers == "last" else weights)]
    for parameter in trained:
        parameter.requires_grad_(True)
    targets = _targets(assets, training.teacher, device)
    _descend(student, trained, assets, training, targets, generator)
    arrays = {name: parameter.detach().cpu().numpy() for name, parameter in weights.items()}
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ModelError("training left the finite numbers; the learning rate does not suit this model")
    return with_weights(model, arrays)


def _descend(
    student: TorchCopy,
    trained: list[torch.nn.Parameter],
    assets: BaseAssets,
    training: Training,
    targets: Tensor,
    generator: torch.Generator,
) -> None:
    """Minimise the loss over shuffled, augmented batches by stochastic gradient descent with momentum."""
    n, size = len(assets.inputs), min(_BATCH, len(assets.inputs))
    n_steps = max(1, round(training.epochs * (n // size)))
    optimiser = torch.optim.SGD(trained, lr=training.learning_rate / 25, momentum=0.9, nesterov=True, weight_decay=5e-4)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.learning_rate, total_steps=n_steps + 1)
    masks = [(p, p.detach() != 0) for p in trained if p.ndim > 1] if training.keep_zeros else []
    span = float(np.ptp(assets.inputs[:256])) or 1.0
    is_soft = training.teacher == "soft labels"

    def loss(x: Tensor, y: Tensor) -> Tensor:
        scores = student.score(x)
        if not is_soft:
            return compute_loss(scores, y, gives_probabilities=assets.gives_probabilities).mean()
        own = scores.clamp_min(1e-30).log() if assets.gives_probabilities else scores
        return F.kl_div((own / _TEMPERATURE).log_softmax(1), y, reduction="batchmean") * _TEMPERATURE**2

    for batch in _batches(n, size, n_steps, generator):
        x = _augment(torch.from_numpy(assets.inputs[batch.numpy()]), assets.input.layout, generator)
        x, y = x.to(student.device), targets[batch.to(targets.device)]
        value = loss(x, y)
        if training.adversarial:
            # Half of each: on adversarial inputs alone a network that never saw any forgets the others first.
            value = (value + loss(_adversarial(loss, x, y, training.adversarial * span), y)) / 2
        optimiser.zero_grad()
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(trained, 5.0)
        optimiser.step()
        rates.step()
        for parameter, mask in masks:
            parameter.data *= mask


def _batches(n: int, size: int, n_steps: int, generator: torch.Generator) -> Iterator[Tensor]:
    while n_steps > 0:
        order = torch.randperm(n, generator=generator)
        for first in range(0, n // size * size, size)[:n_steps]:
            n_steps -= 1
            yield order[first : first + size]


def _adversarial(loss: Loss, x: Tensor, y: Tensor, radius: float, n_steps: int = 3) -> Tensor:
    """Return inputs near ``x`` of a large loss."""
    moved = x
    for _ in range(n_steps):
        point = moved.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(loss(point, y), point)
        moved = x + (moved.detach() + radius / 2 * gradient.sign() - x).clamp(-radius, radius)
    return moved.clamp(float(x.min()), float(x.max()))


def _targets(assets: BaseAssets, teacher: Teacher, device: torch.device) -> Tensor:
    """Return what is learned: ``(n,)`` labels, or ``(n, n_classes)`` softened probabilities."""
    if teacher == "data":
        return torch.from_numpy(np.asarray(assets.labels)).to(device)
    base = _open(assets, assets.model, device)
    with torch.no_grad():
        scores = torch.cat([base.score(torch.from_numpy(x).to(device)) for x in _pieces(assets.inputs)])
    if teacher == "hard labels":
        return scores.argmax(1)
    logits = scores.clamp_min(1e-30).log() if assets.gives_probabilities else scores
    return (logits / _TEMPERATURE).softmax(1)


def _open(assets: BaseAssets, model: onnx.ModelProto, device: torch.device) -> TorchCopy:
    copy = build_torch_copy(model, input_name=assets.input.name, output_name=assets.output.name, fixed=assets.fixed)
    copy.to(device)
    copy.adapt(assets.output.kind, assets.input.batch, torch.from_numpy(assets.inputs[:_N_PROBES]).to(device))
    return copy


def _last_layer(model: onnx.ModelProto, names: set[str]) -> list[str]:
    """Return the names of the weight and bias of the layer nearest to the output."""
    layer = next((w.node for w in reversed(find_weights(model)) if w.name in names), None)
    if layer is None:
        raise ModelError("the layers that give the scores have no floating-point weights to train")
    return [name for name in layer.input if name in names]


def _reinitialise(weights: list[torch.nn.Parameter], generator: torch.Generator) -> None:
    """Draw weights anew (He et al., arXiv:1502.01852); vectors become zero, or one where they scaled."""
    for weight in weights:
        if weight.ndim > 1:
            fan_in = weight.numel() / max(weight.shape[0], 1)
            if weight.ndim == 2:
                fan_in = max(weight.shape)
            fresh = torch.randn(weight.shape, generator=generator) * (2.0 / fan_in) ** 0.5
            weight.data.copy_(fresh)
        else:
            weight.data.fill_(1.0 if float(weight.data.abs().min()) > 0 and float(weight.data.mean()) > 0.5 else 0.0)


def _augment(x: Tensor, layout: str, generator: torch.Generator) -> Tensor:
    """Return images mirrored and shifted by up to an eighth of their side, at random; other inputs as they are."""
    if layout not in ("NCHW", "NHWC"):
        return x
    axes = (2, 3) if layout == "NCHW" else (1, 2)
    moved = x
    for axis in axes:
        most = x.shape[axis] // 8
        step = int(torch.randint(-most, most + 1, (1,), generator=generator))
        index = (torch.arange(x.shape[axis]) + step).clamp(0, x.shape[axis] - 1)
        moved = moved.index_select(axis, index)
    mirrored = torch.rand(len(x), generator=generator) < 0.5
    return torch.where(mirrored.reshape(-1, 1, 1, 1), moved.flip(axes[1]), moved)


def _pieces(inputs: np.ndarray, size: int = 256) -> Iterator[np.ndarray]:
    return (inputs[first : first + size] for first in range(0, len(inputs), size))

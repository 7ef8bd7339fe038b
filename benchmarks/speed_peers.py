"""The same targeted attack by the libraries that are known for it, each called as its documentation has it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

Attack = Callable[[], object]


def peers(
    network: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, step: float, steps: int, n_classes: int
) -> dict[str, Attack]:
    """Return one targeted L-infinity projected gradient descent for each library, without a random start."""
    return {
        "foolbox 3.3.4": _foolbox(network, images, labels, epsilon, step, steps),
        "torchattacks 3.5.1": _torchattacks(network, images, labels, epsilon, step, steps),
        "ART 1.20": _art(network, images, labels, epsilon, step, steps, n_classes),
    }


def _foolbox(network: nn.Module, images: Tensor, labels: Tensor, epsilon: float, step: float, steps: int) -> Attack:
    import foolbox
    from foolbox.models.pytorch import PyTorchModel

    model = PyTorchModel(network, bounds=(0, 1), device=images.device)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=steps, random_start=False)
    return lambda: attack(model, images, foolbox.criteria.TargetedMisclassification(labels), epsilons=epsilon)


def _torchattacks(
    network: nn.Module, images: Tensor, labels: Tensor, epsilon: float, step: float, steps: int
) -> Attack:
    import torchattacks

    attack = torchattacks.PGD(network, eps=epsilon, alpha=step, steps=steps, random_start=False)
    attack.set_mode_targeted_by_label(quiet=True)
    return lambda: attack(images, labels)


def _art(
    network: nn.Module, images: Tensor, labels: Tensor, epsilon: float, step: float, steps: int, n_classes: int
) -> Attack:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from art.attacks.evasion import ProjectedGradientDescent
        from art.estimators.classification import PyTorchClassifier
    logging.getLogger("art").setLevel(logging.ERROR)
    classifier = PyTorchClassifier(
        network,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=n_classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if images.device.type == "cuda" else "cpu",
    )
    attack = ProjectedGradientDescent(
        classifier,
        eps=epsilon,
        eps_step=step,
        max_iter=steps,
        targeted=True,
        num_random_init=0,
        batch_size=len(images),
        verbose=False,
    )
    x, y = images.cpu().numpy(), torch.nn.functional.one_hot(labels, n_classes).cpu().numpy()
    return lambda: attack.generate(x, y)

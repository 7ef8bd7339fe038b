"""Recurrent layers, unrolled step by step: clear, differentiable, and with every option that ONNX has.

Specification: https://onnx.ai/onnx/operators/onnx__LSTM.html, onnx__GRU.html, onnx__RNN.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from onnxfp.torch_copy.operators.registry import Function, Node, operator

Activation = Callable[[Tensor], Tensor]

# Activations that take parameters; the others leave alpha and beta to those after them.
_TAKE_ALPHA = {"affine", "elu", "hardsigmoid", "leakyrelu", "scaledtanh", "thresholdedrelu"}
_TAKE_BETA = {"affine", "hardsigmoid", "scaledtanh"}
State = tuple[Tensor, ...]
Cell = Callable[[Tensor, State], State]


def activation(name: str, alpha: float | None, beta: float | None) -> Activation:
    """Return an activation by ONNX's name, with its parameters or their defaults.

    Raises:
        ValueError: ONNX has no such activation.
    """

    def or_(value: float | None, default: float) -> float:
        return default if value is None else value

    known: dict[str, Activation] = {
        "affine": lambda x: or_(alpha, 1.0) * x + or_(beta, 0.0),
        "elu": lambda x: F.elu(x, or_(alpha, 1.0)),
        "hardsigmoid": lambda x: torch.clamp(or_(alpha, 0.2) * x + or_(beta, 0.5), 0, 1),
        "leakyrelu": lambda x: F.leaky_relu(x, or_(alpha, 0.01)),
        "relu": torch.relu,
        "scaledtanh": lambda x: or_(alpha, 1.0) * torch.tanh(or_(beta, 1.0) * x),
        "sigmoid": torch.sigmoid,
        "softplus": F.softplus,
        "softsign": F.softsign,
        "tanh": torch.tanh,
        "thresholdedrelu": lambda x: torch.where(x > or_(alpha, 1.0), x, torch.zeros_like(x)),
    }
    if name.lower() not in known:
        raise ValueError(f"there is no activation {name!r}")
    return known[name.lower()]


@dataclass(frozen=True, slots=True)
class Layer:
    """What the three recurrent layers have in common.

    Attributes:
        hidden: Size of the hidden state.
        directions: For each direction, whether it runs backwards.
        activations: For each direction, its activations.
        clip: Limit of what enters an activation, or ``None``.
        batch_first: Whether the batch stands before time (``layout = 1``).
        n_outputs: Number of outputs of the node.
    """

    hidden: int
    directions: tuple[bool, ...]
    activations: tuple[tuple[Activation, ...], ...]
    clip: float | None
    batch_first: bool
    n_outputs: int

    @classmethod
    def of(cls, node: Node, defaults: Sequence[str]) -> Layer:
        """Return the layer that a node's attributes describe."""
        direction = node.text("direction", "forward")
        directions = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[direction]
        names = node.attributes.get("activations") or list(defaults) * len(directions)
        alphas = iter(node.attributes.get("activation_alpha") or [])
        betas = iter(node.attributes.get("activation_beta") or [])
        made = [
            activation(
                name,
                next(alphas, None) if name.lower() in _TAKE_ALPHA else None,
                next(betas, None) if name.lower() in _TAKE_BETA else None,
            )
            for name in names
        ]
        n = len(defaults)
        clip = node.attributes.get("clip")
        return cls(
            hidden=node.int("hidden_size", 0),
            directions=directions,
            activations=tuple(tuple(made[d * n : (d + 1) * n]) for d in range(len(directions))),
            clip=None if clip is None else float(clip),
            batch_first=bool(node.int("layout", 0)),
            n_outputs=node.n_outputs,
        )

    def clipped(self, x: Tensor) -> Tensor:
        """Return ``x`` within the clip."""
        return x if self.clip is None else x.clamp(-self.clip, self.clip)

    def run(
        self, x: Tensor, lengths: Tensor | None, starts: Sequence[Tensor | None], cells: Sequence[Cell]
    ) -> tuple[Tensor, ...]:
        """Return ``Y`` and the last states.

        Args:
            x: ``(time, batch, input)``, or batch first.
            lengths: ``(batch,)`` steps that count, or ``None`` for all.
            starts: Initial states ``(directions, batch, hidden)``, ``None`` for zeros.
            cells: The step function of each direction.
        """
        if self.batch_first:
            x, starts = x.transpose(0, 1), [s if s is None else s.transpose(0, 1) for s in starts]
        n_steps, n_batch = x.shape[:2]
        zero = x.new_zeros(n_batch, self.hidden)
        every: list[Tensor] = []
        lasts: list[State] = []
        for d, backwards in enumerate(self.directions):
            state: State = tuple(zero if s is None else s[d] for s in starts)
            outputs: list[Tensor] = [zero] * n_steps
            for t in reversed(range(n_steps)) if backwards else range(n_steps):
                new = cells[d](x[t], state)
                if lengths is not None:
                    counts = (t < lengths.to(x.device))[:, None]
                    new = tuple(torch.where(counts, a, b) for a, b in zip(new, state, strict=True))
                    outputs[t] = torch.where(counts, new[0], zero)
                else:
                    outputs[t] = new[0]
                state = new
            every.append(torch.stack(outputs))
            lasts.append(state)
        y = torch.stack(every, dim=1)
        finals = [torch.stack(parts) for parts in zip(*lasts, strict=True)]
        if self.batch_first:
            return y.permute(2, 0, 1, 3), *(final.transpose(0, 1) for final in finals)
        return y, *finals


def _halves(bias: Tensor | None, d: int, size: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Return the input and the recurrent bias of a direction."""
    if bias is None:
        return like.new_zeros(size), like.new_zeros(size)
    return bias[d, :size], bias[d, size:]


@operator("RNN", since=(1, 7, 14, 22))
def rnn(node: Node) -> Function:
    """``H = f(X W' + H R' + b)``."""
    layer = Layer.of(node, ["Tanh"])

    def run(
        x: Tensor,
        w: Tensor,
        r: Tensor,
        bias: Tensor | None = None,
        lengths: Tensor | None = None,
        start: Tensor | None = None,
    ) -> Any:
        def cell(d: int) -> Cell:
            (f,) = layer.activations[d]
            wb, rb = _halves(bias, d, layer.hidden, x)
            return lambda x_t, s: (f(layer.clipped(x_t @ w[d].T + s[0] @ r[d].T + wb + rb)),)

        return layer.run(x, lengths, [start], [cell(d) for d in range(len(layer.directions))])

    return run


@operator("GRU", since=(1, 3, 7, 14, 22))
def gru(node: Node) -> Function:
    """Gates in the order update, reset, hidden."""
    layer, after = Layer.of(node, ["Sigmoid", "Tanh"]), bool(node.int("linear_before_reset", 0))

    def run(
        x: Tensor,
        w: Tensor,
        r: Tensor,
        bias: Tensor | None = None,
        lengths: Tensor | None = None,
        start: Tensor | None = None,
    ) -> Any:
        def cell(d: int) -> Cell:
            f, g = layer.activations[d]
            wb, rb = _halves(bias, d, 3 * layer.hidden, x)
            r_gates, r_hidden = r[d, : 2 * layer.hidden], r[d, 2 * layer.hidden :]
            rb_gates, rb_hidden = rb[: 2 * layer.hidden], rb[2 * layer.hidden :]

            def step(x_t: Tensor, s: State) -> State:
                h = s[0]
                z_in, r_in, h_in = (x_t @ w[d].T + wb).chunk(3, dim=-1)
                z_re, r_re = (h @ r_gates.T + rb_gates).chunk(2, dim=-1)
                update, reset = f(layer.clipped(z_in + z_re)), f(layer.clipped(r_in + r_re))
                again = reset * (h @ r_hidden.T + rb_hidden) if after else (reset * h) @ r_hidden.T + rb_hidden
                new = g(layer.clipped(h_in + again))
                return ((1 - update) * new + update * h,)

            return step

        return layer.run(x, lengths, [start], [cell(d) for d in range(len(layer.directions))])

    return run


@operator("LSTM", since=(1, 7, 14, 22))
def lstm(node: Node) -> Function:
    """Gates in the order input, output, forget, cell; with peepholes."""
    layer, coupled = Layer.of(node, ["Sigmoid", "Tanh", "Tanh"]), bool(node.int("input_forget", 0))

    def run(
        x: Tensor,
        w: Tensor,
        r: Tensor,
        bias: Tensor | None = None,
        lengths: Tensor | None = None,
        start_h: Tensor | None = None,
        start_c: Tensor | None = None,
        peepholes: Tensor | None = None,
    ) -> Any:
        def cell(d: int) -> Cell:
            f, g, h = layer.activations[d]
            wb, rb = _halves(bias, d, 4 * layer.hidden, x)
            peep = x.new_zeros(3 * layer.hidden) if peepholes is None else peepholes[d]
            p_i, p_o, p_f = peep.chunk(3)

            def step(x_t: Tensor, s: State) -> State:
                h_t, c_t = s
                i_, o_, f_, c_ = (x_t @ w[d].T + h_t @ r[d].T + wb + rb).chunk(4, dim=-1)
                enter = f(layer.clipped(i_ + p_i * c_t))
                forget = 1 - enter if coupled else f(layer.clipped(f_ + p_f * c_t))
                c_new = forget * c_t + enter * g(layer.clipped(c_))
                leave = f(layer.clipped(o_ + p_o * c_new))
                return leave * h(c_new), c_new

            return step

        cells = [cell(d) for d in range(len(layer.directions))]
        return layer.run(x, lengths, [start_h, start_c], cells)

    return run

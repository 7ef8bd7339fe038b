"""Where models run, and how much memory and time each may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from onnxfp.errors import ParameterError

Device = Literal["auto", "cpu", "cuda"]
"""``auto`` takes CUDA where it works, else the CPU. ``cuda`` demands it."""

MAX_MEMORY_BYTES = 2**50
"""Largest limit on memory (a million GiB): more fits no process, and with what comes on top no number of the kernel."""

MAX_SECONDS = 10**9
"""Largest limit on time (some thirty years): longer waits do not fit the operating system's clocks."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Memory and time that a model may take.

    Attributes:
        memory_bytes: Memory, in [1, MAX_MEMORY_BYTES], beyond eight times the size of the model's own file, which is
            allowed on top. Held on Linux; with a GPU, whose driver maps more than any model, not.
        seconds: Wall time to open the model, and for each batch, in (0, MAX_SECONDS]. The processor time that goes with
            it is the same for each core.

    Raises:
        ParameterError: A limit lies outside its range.
    """

    memory_bytes: int = 4 * 2**30
    seconds: float = 300.0

    def __post_init__(self) -> None:
        # Written so that NaN is in no range.
        if not 1 <= self.memory_bytes <= MAX_MEMORY_BYTES:
            raise ParameterError(f"memory_bytes must lie in [1, {MAX_MEMORY_BYTES}]; found {self.memory_bytes}")
        if not 0 < self.seconds <= MAX_SECONDS:
            raise ParameterError(f"seconds must lie in (0, {MAX_SECONDS}]; found {self.seconds}")


@dataclass(frozen=True, slots=True)
class Execution:
    """How models are run.

    Models come from strangers. By default each is open in a process of its own, with limits.

    Attributes:
        device: Device of onnxruntime, and of the gradients where a fingerprint is made.
        limits: Memory and time of each model in a process of its own. ``None`` opens models in this process, without
            limits.

    Raises:
        ParameterError: There is no such device.
    """

    device: Device = "auto"
    limits: Limits | None = Limits()

    def __post_init__(self) -> None:
        if self.device not in get_args(Device):
            raise ParameterError(
                f"there is no device {self.device!r}", hint=f"choose one of {', '.join(get_args(Device))}"
            )


IN_PROCESS = Execution(limits=None)
"""Models of one's own: opened in this process, without limits."""

ISOLATED = Execution()
"""Models of strangers: each in a process of its own, with the default limits."""

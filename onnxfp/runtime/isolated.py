"""A model that is open in a process of its own, with limits, so that it can harm nothing but its own answer.

onnxruntime is a large C++ program that parses what a stranger wrote. A crash, a hang or an allocation of terabytes in
it ends the worker, and here becomes an error that names the cause. See :mod:`onnxfp.runtime.launch` for the worker's
folder and environment.
"""

from __future__ import annotations

import os
import re
import signal
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from onnxfp.execution import Limits
from onnxfp.model.tensor_info import Tensor
from onnxfp.runtime.ipc import MessageError
from onnxfp.runtime.launch import choose_model_worker, take_worker
from onnxfp.runtime.local import NoCudaError, Provider, RefusedError
from onnxfp.text import escape_text, quote_text

HOLDS = ("process", "time", "memory", "network")
"""What a model can be kept from: this process, endless time, all memory, the network."""

_COPIES_OF_A_MODEL = 8
_MAX_WORDS = 16
# As onnxruntime, NumPy and the C++ library say it.
_NO_MEMORY = re.compile(r"bad_alloc|bad array new length|allocate memory|[Uu]nable to allocate|MemoryError")
# Scores of the largest batch; no classifier needs a hundredth of it.
_MAX_ANSWER_BYTES = 2**30


class LimitReachedError(RefusedError):
    """The worker came to its end before it answered: a crash, or more time or memory than is allowed."""


class IsolatedRuntime:
    """A model that is open in a worker process. See :class:`~onnxfp.runtime.local.Runtime`.

    Args:
        source: The file's absolute path, or its content.
        provider: ``auto`` takes CUDA where it works, else the CPU; ``cuda`` demands it.
        optimise: Whether onnxruntime may fuse nodes.
        n_bytes: Size of the model with its external data.
        limits: What it may take.

    Raises:
        RefusedError: onnxruntime refuses the model, or the worker ended while it opened it.
        NoCudaError: CUDA was demanded and is not available.
    """

    def __init__(
        self, source: str | bytes, provider: Provider, *, optimise: bool, n_bytes: int, limits: Limits
    ) -> None:
        self._limits = limits
        self._memory_bytes = limits.memory_bytes + _COPIES_OF_A_MODEL * n_bytes
        # A GPU's driver maps more than any model needs, and checks who opens it.
        words = choose_model_worker(provider)
        is_confined = "confined" in words
        worker = take_worker(*words)
        self._worker = worker
        self._end = weakref.finalize(self, worker.end)
        head = {
            "path": source if isinstance(source, str) else "",
            "provider": provider,
            "optimise": optimise,
            "memory_bytes": self._memory_bytes if is_confined else 0,
            "cpu_seconds": int(limits.seconds * (os.cpu_count() or 1)) + 1,
        }
        described, _ = self._exchange(head, [] if isinstance(source, str) else [_as_array(source)], "opening it")
        self.inputs = _tensors(described, "inputs")
        self.outputs = _tensors(described, "outputs")
        self.providers = _words(described, "providers")
        self.warning = _printable(described.get("warning", ""))
        self.holds = tuple(word for word in HOLDS if word in _words(described, "holds"))

    def run(self, names: Sequence[str], feeds: Mapping[str, NDArray[Any]]) -> list[Any]:
        """Return the values of the outputs ``names``."""
        request = {"names": list(names), "feeds": list(feeds)}
        _, values = self._exchange(request, list(feeds.values()), "running it")
        if len(values) != len(names):
            raise RefusedError(f"its process gave {len(values)} values for {len(names)} outputs")
        return values

    def close(self) -> None:
        """End the worker; it ends by itself when this object is collected."""
        self._end()

    def _exchange(self, head: dict[str, Any], values: Sequence[Any], doing: str) -> tuple[dict[str, Any], list[Any]]:
        """Send a request and return the answer, or say what became of the worker."""
        if not self._end.alive:
            raise RefusedError("its process has ended")
        try:
            answer, results = self._worker.ask(
                head, values, max_seconds=self._limits.seconds, max_bytes=_MAX_ANSWER_BYTES
            )
        except TimeoutError:
            self.close()
            seconds = f"{self._limits.seconds:g} s"
            raise LimitReachedError(f"{doing} took longer than the {seconds} that are allowed") from None
        except (EOFError, OSError):
            reason = self._cause_of_death()
            self.close()
            raise LimitReachedError(f"{doing} {reason}") from None
        except (MessageError, MemoryError) as error:
            self.close()
            raise RefusedError(f"{doing} gave no readable answer: {quote_text(str(error), 200)}") from error
        except BaseException:
            self.close()
            raise
        if "error" in answer:
            if answer["error"] == NoCudaError.__name__:
                raise NoCudaError(_printable(answer.get("message")))
            message = _printable(answer.get("message"))
            if _NO_MEMORY.search(message):
                allowed = f"{self._memory_bytes / 2**30:.1f} GiB of memory are allowed"
                raise LimitReachedError(
                    f"{doing} took more memory than there is, or than may be: {allowed} ({message})"
                )
            raise RefusedError(message)
        return answer, results

    def _cause_of_death(self) -> str:
        code = self._worker.wait(5)
        if code is None:
            return "closed its connection"
        if code < 0:
            name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
            if name == "SIGXCPU":
                return "took more processor time than is allowed"
            memory = f"; {self._memory_bytes / 2**30:.1f} GiB of memory are allowed" if name != "SIGSEGV" else ""
            return f"crashed onnxruntime ({name}{memory})"
        return f"ended its process with code {code}"


def _as_array(content: bytes) -> NDArray[Any]:
    import numpy as np

    return np.frombuffer(content, np.uint8)


def _tensors(described: Mapping[str, Any], side: str) -> tuple[Tensor, ...]:
    try:
        return tuple(
            Tensor(_text(name), _text(kind), tuple(map(_axis, shape))) for name, kind, shape in described[side]
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RefusedError("its process described no inputs and outputs") from error


def _text(value: object) -> str:
    # Not made into one: of lists in lists, str() goes deeper than it can.
    if not isinstance(value, str):
        raise TypeError
    return value


def _axis(value: object) -> int | str | None:
    """Return an axis as onnxruntime may give it; a longer number could not even be printed."""
    return value if isinstance(value, str) or (type(value) is int and abs(value) < 2**63) else None


def _words(described: Mapping[str, Any], name: str) -> tuple[str, ...]:
    words = described.get(name)
    return tuple(map(_printable, words[:_MAX_WORDS])) if isinstance(words, list) else ()


def _printable(message: object) -> str:
    """Return the worker's words without what could steer a terminal; what is no text says nothing."""
    return escape_text(message, 400) if isinstance(message, str) else "?"

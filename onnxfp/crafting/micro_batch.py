"""How many examples go through the torch copy at once: as many as the memory that is there holds, and no more.

What a pass costs is what it keeps for its way back, which one pass of a few examples tells. On the CPU more than a few
hundred megabytes at once gain nothing; on a GPU a large share of its free memory is used.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from onnxfp.errors import ConversionError

_CPU_BYTES = 128 * 2**20
_SHARE_OF_FREE = 3
_NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")

_log = logging.getLogger(__name__)


class MicroBatch:
    """Splits batches into passes, and into smaller ones where memory runs out.

    Args:
        n_examples: Most examples in one pass, at least 1.
    """

    def __init__(self, n_examples: int) -> None:
        self.n_examples = n_examples

    def run(self, one_pass: Callable[[slice], None], n: int) -> None:
        """Call ``one_pass`` for consecutive slices of ``n`` examples.

        Args:
            one_pass: Computes one slice, and may be called again for the same examples.
            n: Number of examples.

        Raises:
            RuntimeError: Not even one example fits, or the pass failed for another reason.
        """
        first = 0
        while first < n:
            last = min(first + self.n_examples, n)
            try:
                one_pass(slice(first, last))
            except (RuntimeError, MemoryError, ConversionError) as error:
                if last - first == 1 or not _lacks_memory(error):
                    raise
                self.n_examples = (last - first) // 2
                _log.warning("memory ran out with %d examples at once: going on with %d", last - first, self.n_examples)
            else:
                first = last
                continue
            if torch.cuda.is_available():
                # Outside the handler: the error holds on to what the failed pass had allocated.
                torch.cuda.empty_cache()


def find_micro_batch(score: Callable[[Tensor], Tensor], examples: Tensor, most: int) -> MicroBatch:
    """Return how many examples to pass at once.

    Args:
        score: The copy's scores.
        examples: ``(n, *shape)`` model input to try with, n at least 3.
        most: Never more than this.
    """
    # What three examples keep more than two; of a graph with a batch size of its own, a third of what it keeps.
    kept = _kept_bytes(score, examples[:3])
    n_bytes = max(kept - _kept_bytes(score, examples[:2]), 0) or max(kept // 3, 1)
    if examples.device.type == "cuda":
        allowed = torch.cuda.mem_get_info(examples.device)[0] // _SHARE_OF_FREE
    else:
        allowed = min(_CPU_BYTES, _free_bytes() // _SHARE_OF_FREE)
    n_examples = int(max(1, min(most, allowed // n_bytes)))
    _log.info("%d examples at once, %.1f MB each", n_examples, n_bytes / 2**20)
    return MicroBatch(n_examples)


def _kept_bytes(score: Callable[[Tensor], Tensor], examples: Tensor) -> int:
    """Return what is held for the way back after one forward pass, weights included."""
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        scores = score(examples.detach().requires_grad_(True))
    del scores
    return sum(kept.values())


def _free_bytes() -> int:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:  # noqa: PTH123 - read line by line, no file of ours
            values: Iterator[str] = (line.split()[1] for line in lines if line.startswith("MemAvailable:"))
            return int(next(values)) * 1024
    except (OSError, StopIteration, ValueError):
        return 2**33


def _lacks_memory(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, torch.OutOfMemoryError | MemoryError):
            return True
        if any(words in str(seen) for words in _NO_MEMORY):
            return True
        seen = seen.__cause__
    return False

"""The worker process in which a stranger's model is open: ``python -m onnxfp.runtime.worker``.

It takes requests on stdin and answers on stdout, in the frames of :mod:`onnxfp.runtime.ipc`. Before it reads
a model it gives up what a model never needs: more memory than its share, writing files, core dumps, new privileges,
and, on Linux, the network and other processes (:mod:`onnxfp.runtime.sandbox`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from onnxfp.runtime.launch import take_own_streams
from onnxfp.runtime.sandbox import confine, tie_to_parent

# What is mapped but not written, libraries above all, beyond the limit on memory.
_MAPPED_BYTES = 2**36


def main(words: Sequence[str]) -> None:
    """Open the model of the first frame, then answer until stdin closes.

    Args:
        words: ``confined`` if everything shall be given up; a GPU's driver needs some of it.
    """
    requests, answers = take_own_streams()
    tie_to_parent()
    # Before NumPy is imported, which starts threads: what one thread gives up, others keep.
    holds = ["process", "time", *(confine() if "confined" in words else [])]
    from onnxfp.runtime.ipc import read_message, write_message
    from onnxfp.runtime.local import LocalRuntime, NoCudaError, RefusedError, load_onnxruntime

    # Before there is anything to read: this process may have been started ahead of its model.
    load_onnxruntime()
    head, arrays = read_message(requests)
    holds += _restrict(head)
    try:
        source = head["path"] or arrays[0].tobytes()
        runtime = LocalRuntime(source, head["provider"], optimise=head["optimise"])
    except (RefusedError, NoCudaError) as error:
        write_message(answers, {"error": type(error).__name__, "message": str(error)})
        return
    del source, arrays
    described = {
        side: [[tensor.name, tensor.type, tensor.shape] for tensor in tensors]
        for side, tensors in (("inputs", runtime.inputs), ("outputs", runtime.outputs))
    }
    write_message(answers, {**described, "providers": runtime.providers, "warning": runtime.warning, "holds": holds})
    while True:
        try:
            request, values = read_message(requests)
        except EOFError:
            return
        _allow_cpu_time(head["cpu_seconds"])
        try:
            results = runtime.run(request["names"], dict(zip(request["feeds"], values, strict=True)))
        except RefusedError as error:
            write_message(answers, {"error": "RefusedError", "message": str(error)})
        else:
            write_message(answers, {}, results)


def _restrict(head: dict[str, Any]) -> list[str]:
    """Set the limits and return what now holds, one word each."""
    holds = []
    with suppress(ImportError):
        import resource

        def limit(what: int, value: int) -> bool:
            _, hard = resource.getrlimit(what)
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with suppress(ValueError, OSError):
                # Hard ones as well: whoever takes the process over could raise the soft.
                resource.setrlimit(what, (value, value))
                return True
            return False

        limit(resource.RLIMIT_CORE, 0)
        limit(resource.RLIMIT_FSIZE, 0)
        # CUDA maps more than any model needs.
        if head["memory_bytes"] and sys.platform == "linux":
            limited = limit(resource.RLIMIT_DATA, head["memory_bytes"])
            if limited & limit(resource.RLIMIT_AS, head["memory_bytes"] + _MAPPED_BYTES):
                holds.append("memory")
        _allow_cpu_time(head["cpu_seconds"])
    return holds


def _allow_cpu_time(seconds: int) -> None:
    """Let this process compute for so long from now on; the kernel ends it afterwards, whoever else has died."""
    with suppress(ImportError, ValueError, OSError):
        import resource

        usage = resource.getrusage(resource.RUSAGE_SELF)
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(usage.ru_utime + usage.ru_stime) + 1 + seconds, hard))


if __name__ == "__main__":
    main(sys.argv[1:])

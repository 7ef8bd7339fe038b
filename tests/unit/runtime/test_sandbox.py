"""What the worker has given up: tried out in one that has."""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="these are Linux's own means")

ATTEMPTS = """if True:
    import ctypes, os, socket, sys, threading
    from pathlib import Path
    from onnxfp.runtime import sandbox
    sandbox.tie_to_parent()
    print("holds", *HOW)
    path = Path(sys.argv[1])
    server = int(sys.argv[2])
    attempts = {
        "read": path.read_text,
        "connect": lambda: socket.create_connection(("127.0.0.1", server), timeout=5),
        "send": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", server)),
        "fork": lambda: os.fork() or os._exit(0),
        "run": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "kill": lambda: os.kill(os.getppid(), 0),
        "change": lambda: path.write_text("changed"),
        "empty": lambda: os.truncate(path, 0),
        "remove": path.unlink,
        "move": lambda: path.rename(path.with_name("moved")),
        "make": lambda: path.with_name("made").mkdir(),
        "open to others": lambda: path.chmod(0o777),
        "thread": lambda: threading.Thread(target=str).start(),
    }
    for name, attempt in attempts.items():
        try:
            attempt()
            print("did", name)
        except OSError as error:
            print("refused", name)
"""


def attempt(how: str, tmp_path: Path) -> set[str]:
    """Return what a process did, and was refused, that has confined itself so."""
    import socket

    path = tmp_path / "precious"
    path.write_text("precious")
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = subprocess.run(
            [sys.executable, "-c", ATTEMPTS.replace("HOW", how), str(path), str(server.getsockname()[1])],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    return set(done.stdout.splitlines())


def test_everything_that_a_classifier_never_needs_is_refused(tmp_path: Path) -> None:
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("there is no filter for this machine")
    said = attempt("sandbox.confine()", tmp_path)
    refused = {"connect", "send", "fork", "run", "kill", "open to others"}
    assert {"holds network", "did read", "did thread"} | {f"refused {name}" for name in refused} <= said
    if has_landlock():
        assert {f"refused {name}" for name in ("change", "empty", "remove", "move", "make")} <= said
        assert (tmp_path / "precious").read_text() == "precious"


REACHING_OUT = """if True:
    import ctypes, fcntl, os, platform, resource, signal, sys, threading
    from onnxfp.runtime import sandbox
    libc = ctypes.CDLL(None, use_errno=True)
    # The filter alone: newer kernels also hold some of this by Landlock.
    assert sandbox._filter_calls(libc)
    victim, path, own = int(sys.argv[1]), sys.argv[2], os.getpid()
    x86 = platform.machine() == "x86_64"

    def call(number, *arguments):
        if libc.syscall(number, *(ctypes.c_long(a) if isinstance(a, int) else a for a in arguments)) < 0:
            raise OSError(ctypes.get_errno(), "")

    def owner(pid):
        reading, writing = os.pipe()
        fcntl.fcntl(reading, fcntl.F_SETOWN, pid)

    def pidfd(pid):
        signal.pidfd_send_signal(os.open(f"/proc/{pid}", os.O_RDONLY), 9)

    info = ctypes.create_string_buffer(bytes([9, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]), 128)
    some = os.sched_param(0)
    foreign = {
        "limit": lambda: resource.prlimit(victim, resource.RLIMIT_CPU, (0, 0)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, victim, 19),
        "priority of a group": lambda: os.setpriority(os.PRIO_PGRP, victim, 19),
        # One that is nobody, so that a filter with a hole slows nobody here.
        "priority of a user": lambda: os.setpriority(os.PRIO_USER, 2**31 - 2, 19),
        "cores": lambda: os.sched_setaffinity(victim, {min(os.sched_getaffinity(victim))}),
        "scheduler": lambda: os.sched_setscheduler(victim, os.SCHED_IDLE, some),
        "parameters": lambda: os.sched_setparam(victim, some),
        "attributes": lambda: call(314 if x86 else 274, victim, ctypes.create_string_buffer(b"0", 48), 0),
        "priority of disks": lambda: call(251 if x86 else 30, 1, victim, 3 << 13),
        "kill": lambda: os.kill(victim, 9),
        "tkill": lambda: call(200 if x86 else 130, victim, 9),
        "tgkill": lambda: call(234 if x86 else 131, victim, victim, 9),
        "queue": lambda: call(129 if x86 else 138, victim, 9, info),
        "queue to a thread": lambda: call(297 if x86 else 240, victim, victim, 9, info),
        "open": lambda: os.pidfd_open(victim),
        "signal by file": lambda: pidfd(victim),
        "owner": lambda: owner(victim),
        "empty": lambda: os.truncate(path, 0),
        "times": lambda: os.utime(path, (0, 0)),
    }
    itself = {
        "own limit": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
        "own limit by number": lambda: resource.prlimit(own, resource.RLIMIT_CORE, (0, 0)),
        "own priority": lambda: os.setpriority(os.PRIO_PROCESS, 0, 19),
        "own priority by number": lambda: os.setpriority(os.PRIO_PROCESS, own, 19),
        "own cores": lambda: os.sched_setaffinity(0, os.sched_getaffinity(0)),
        "own cores by number": lambda: os.sched_setaffinity(own, os.sched_getaffinity(0)),
        "own scheduler": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, some),
        "own thread": lambda: signal.pthread_kill(threading.get_ident(), 0),
        "own file": lambda: fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL)),
    }
    for name, attempt in {**foreign, **itself}.items():
        try:
            attempt()
            print("did", name)
        except OSError as error:
            print("refused" if isinstance(error, PermissionError) else error, name)
    print(*foreign, sep=",")
    print(*itself, sep=",", flush=True)
    os.abort()
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="there is no filter for this machine")
def test_other_processes_are_out_of_reach_and_its_own_affairs_are_not(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    written = precious.stat().st_mtime
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as victim:
        before = state(victim.pid)
        done = subprocess.run(
            [sys.executable, "-c", REACHING_OUT, str(victim.pid), str(precious)],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            stdin=subprocess.DEVNULL,
        )
        assert victim.poll() is None
        assert state(victim.pid) == before
        victim.kill()
    assert (precious.read_text(), precious.stat().st_mtime) == ("precious", written)
    *said, foreign, itself = done.stdout.splitlines()
    assert said == [f"refused {name}" for name in foreign.split(",")] + [f"did {name}" for name in itself.split(",")]
    # Its end is seen as what it was: abort() sends a signal to the own thread.
    assert done.returncode == -signal.SIGABRT, done.stderr


def state(pid: int) -> tuple[object, ...]:
    """Return what one process can do to the work of another."""
    import resource

    limits = resource.prlimit(pid, resource.RLIMIT_CPU)
    return os.getpriority(os.PRIO_PROCESS, pid), os.sched_getaffinity(pid), os.sched_getscheduler(pid), limits


THREADS = """if True:
    import os, sys
    from onnxfp.runtime import sandbox
    if sys.argv[2] == "confined":
        assert sandbox.confine()
    import numpy as np
    import onnxruntime
    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 4, 4
    # It pins three of its own threads to a core each, as it does by itself where there are many.
    options.add_session_config_entry("session.intra_op_thread_affinities", "1;1;1")
    before = len(os.listdir("/proc/self/task"))
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    answer = session.run(None, {"image": np.random.default_rng(0).random((64, 3, 8, 8), np.float32)})[0]
    print(len(os.listdir("/proc/self/task")) - before, answer.tobytes().hex())
"""


def test_a_model_runs_on_several_threads_though_none_can_be_pinned(base_path: Path) -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", THREADS, str(base_path), how], capture_output=True, text=True, check=True, timeout=60
        ).stdout
        for how in ("free", "confined")
    ]
    assert said[0] == said[1]
    assert said[0].startswith("3 ")


def test_without_a_filter_a_namespace_takes_the_network_and_leaves_the_files(tmp_path: Path) -> None:
    said = attempt("['network'] if sandbox._leave_network(sandbox.ctypes.CDLL(None)) else []", tmp_path)
    if "holds" in said:
        pytest.skip("this machine lets nobody make a namespace")
    assert {"holds network", "refused connect", "refused send", "did read"} <= said


def test_a_machine_without_a_filter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxfp.runtime import sandbox

    monkeypatch.setattr(platform, "machine", lambda: "vax")
    assert not sandbox._filter_calls(ctypes.CDLL(None))
    monkeypatch.setattr(sys, "platform", "win32")
    assert sandbox.confine() == []


def has_landlock() -> bool:
    return ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), 1) >= 3 and os.name == "posix"

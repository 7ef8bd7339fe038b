"""What an ordinary Linux process can give up for good: the network, changing files, and other processes.

Two of the kernel's own means, both open to any user, in containers too: a seccomp filter of system calls, and Landlock
for files. The process keeps its user, so that it reads what it could read before, external data among it. Where a
kernel has neither, a network namespace of its own takes the network away.

References:
    seccomp(2), landlock(7), user_namespaces(7); the numbers are those of the kernel's headers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SET_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES, _SET_SECCOMP, _SIGKILL = 1, 38, 22, 9
_NEW_NETWORK, _NEW_USER = 0x40000000, 0x10000000


@dataclass(frozen=True, slots=True)
class _Calls:
    """Numbers of one machine.

    Attributes:
        architecture: The machine itself.
        refused: Calls that a classifier never makes. Sockets and io_uring, which opens them too; starting programs and
            processes; looking into other processes, signalling and slowing them; owners, permissions and times of
            files, and cutting them; and corners of the kernel.
        own: Calls that it makes for itself, and that others name a foreign process in, first of all arguments: limits,
            scheduling, and the signal with which it aborts.
        priority: The same with the process in the second place, after a word that may stand for all of the user's.
        clone: Which starts threads and processes.
        fcntl: Which may have a file send signals.
    """

    architecture: int
    refused: tuple[int, ...]
    own: tuple[int, ...]
    priority: int
    clone: int
    fcntl: int


_MACHINES = {
    "x86_64": _Calls(
        architecture=0xC000003E,
        refused=(
            *(41, 425, 57, 58, 59, 322, 62, 101, 310, 311, 90, 91, 268, 452, 92, 93, 94, 260),
            *(200, 129, 297, 424, 434, 438, 440, 251, 256, 279, 76, 132, 235, 261, 280),
            *(188, 189, 190, 272, 308, 165, 248, 249, 250, 298, 321, 323),
        ),
        own=(302, 142, 144, 203, 314, 234),
        priority=141,
        clone=56,
        fcntl=72,
    ),
    "aarch64": _Calls(
        architecture=0xC00000B7,
        refused=(
            *(198, 425, 221, 281, 129, 117, 270, 271, 52, 53, 452, 54, 55),
            *(130, 138, 240, 424, 434, 438, 440, 30, 238, 239, 45, 88),
            *(5, 6, 7, 97, 268, 40, 217, 218, 219, 241, 280, 282),
        ),
        own=(261, 118, 119, 122, 274, 131),
        priority=140,
        clone=220,
        fcntl=25,
    ),
}
# A process by its number, where others name a group or a user; whom a file signals, and with what.
_ONE_PROCESS, _SIGNALLING = 0, (8, 10, 15)
# The newer clone hides its flags from filters; told that it is missing, libraries use the older one.
_CLONE3, _CLONE_THREAD = 435, 0x10000
_LOAD, _EQUAL, _AT_LEAST, _HAS_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_FOREIGN = 0x40000000

_LANDLOCK_CREATE, _LANDLOCK_RESTRICT = 444, 446
# Writing, removing, and making of every kind; then, from newer versions, moving and truncating.
_CHANGES, _MOVE, _TRUNCATE = 0b1_1111_1111_0010, 1 << 13, 1 << 14
_NO_SIGNALS = 0b10


def confine() -> list[str]:
    """Give up what a classifier never needs, for this process and all its threads; call it before there are others.

    Returns:
        ``["network"]`` if the network is out of reach now, else an empty list. The rest is held where it can be.
    """
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    _forbid_changes(libc)
    return ["network"] if _filter_calls(libc) or _leave_network(libc) else []


def tie_to_parent() -> None:
    """End with the parent, and gain no privileges from programs that have more."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_SET_DEATH_SIGNAL, _SIGKILL, 0, 0, 0)
        libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def _filter_calls(libc: ctypes.CDLL) -> bool:
    """Make the calls of the table fail, as if they were not permitted."""
    if platform.machine() not in _MACHINES or sys.maxsize < 2**32:
        return False
    program = b"".join(_program(_MACHINES[platform.machine()], os.getpid()))
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, and where.
    filter_ = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    return bool(libc.prctl(_SET_SECCOMP, 2, ctypes.c_char_p(filter_), 0, 0) == 0)


def _program(calls: _Calls, process: int) -> Iterable[bytes]:
    """Yield the instructions of the filter; its data has the call at 0, the machine at 4, arguments from 16."""
    refuse, allow = _instruction(_RETURN, _ERROR | errno.EPERM), _instruction(_RETURN, _ALLOW)

    def argument(number: int) -> bytes:
        return _instruction(_LOAD, 16 + 8 * number)

    def only(*values: int) -> bytes:
        """Go on if the number that was loaded is one of these."""
        return b"".join(_instruction(_EQUAL, v, len(values) - i) for i, v in enumerate(values)) + refuse

    def never(*values: int) -> bytes:
        """Go on if it is none of them."""
        return b"".join(_instruction(_EQUAL, v, 0, 1) + refuse for v in values)

    # A thread other than the first has a number that nobody knows beforehand: it can be pinned to no core. onnxruntime
    # tries, and computes wherever the kernel lets it.
    itself = only(0, process)
    conditions = {
        **dict.fromkeys(calls.own, argument(0) + itself),
        calls.priority: argument(0) + only(_ONE_PROCESS) + argument(1) + itself,
        calls.fcntl: argument(1) + never(*_SIGNALLING),
        calls.clone: argument(0) + _instruction(_HAS_BIT, _CLONE_THREAD, 1) + refuse,
    }
    yield _instruction(_LOAD, 4)
    yield _instruction(_EQUAL, calls.architecture, 1)
    yield _instruction(_RETURN, _KILL)
    yield _instruction(_LOAD, 0)
    # The same machine's other numbering.
    yield _instruction(_AT_LEAST, _FOREIGN, 0, 1) + refuse
    yield never(*calls.refused)
    yield _instruction(_EQUAL, _CLONE3, 0, 1) + _instruction(_RETURN, _ERROR | errno.ENOSYS)
    for call, condition in conditions.items():
        yield _instruction(_EQUAL, call, 0, len(condition + allow) // len(allow)) + condition + allow
    yield allow


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("<HBBI", code, then, otherwise, value)


def _forbid_changes(libc: ctypes.CDLL) -> bool:
    """Let this process change no file and no folder, and send no signal to processes outside."""
    version = libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    handled = _CHANGES | (_MOVE if version >= 2 else 0) | (_TRUNCATE if version >= 3 else 0)
    # struct landlock_ruleset_attr: files, network, scopes. No rule follows, so nothing of it is allowed anywhere.
    rules = struct.pack("<QQQ", handled, 0, _NO_SIGNALS if version >= 6 else 0)[: 24 if version >= 6 else 8]
    ruleset = libc.syscall(_LANDLOCK_CREATE, ctypes.c_char_p(rules), ctypes.c_size_t(len(rules)), 0)
    if ruleset < 0:
        return False
    try:
        return bool(libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0) == 0)
    finally:
        os.close(ruleset)


def _leave_network(libc: ctypes.CDLL) -> bool:
    """Go where no network is, and stay the same user there."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_NEW_NETWORK) == 0:
        return True
    if libc.unshare(_NEW_USER | _NEW_NETWORK) != 0:
        return False
    with suppress(OSError):
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True

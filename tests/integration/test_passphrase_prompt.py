"""Passphrases typed at a terminal: asked for, not shown, and asked again for a key that is used."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="terminals of this kind are POSIX's")


def type_into(words: list[object], answers: list[str]) -> tuple[int, str]:
    """Run ``onnxfp`` on a terminal and type an answer at each prompt; return the exit code and what was shown."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "onnxfp", *map(str, words)]
    # A session of its own has no other terminal to ask at.
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown, waiting = "", list(answers)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            chunk = os.read(ours, 4096).decode()
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
        if waiting and shown.rstrip().endswith(":"):
            # getpass throws away what was typed before it switched the echo off.
            time.sleep(0.3)
            os.write(ours, waiting.pop(0).encode() + b"\n")
            shown += "\n"
    os.close(ours)
    return process.wait(timeout=60), shown


def test_a_typed_passphrase_protects_a_key_and_opens_it_again(tmp_path: Path, covered_path: Path) -> None:
    key = tmp_path / "k.pem"
    code, shown = type_into(["keygen", "-o", key, "--encrypt"], ["correct horse", "correct horse"])
    assert code == 0, shown
    assert "new passphrase" in shown
    assert "correct horse" not in shown
    assert b"ENCRYPTED" in key.read_bytes()
    generate = ["generate", covered_path, "-n", 2, "--kind", "c", "--key", key, "-o", tmp_path / "a.npz"]
    code, shown = type_into(generate, ["wrong"])
    assert code == 7, shown
    assert "passphrase is wrong" in shown
    code, shown = type_into(generate, ["correct horse"])
    assert code == 0, shown
    assert (tmp_path / "a.npz").exists()

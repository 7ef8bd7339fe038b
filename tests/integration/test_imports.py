"""What a command loads: an auditor needs no torch, and help costs nothing."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onnxfp.errors import MissingExtraError

BLOCK = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(name + " is blocked", name=name)
sys.meta_path.insert(0, Block())
from onnxfp.cli import main
code = main({words!r})
loaded = {{name.split(".")[0] for name in sys.modules}} & {blocked!r}
assert not loaded, loaded
sys.exit(code)
"""


def run(words: list[str], blocked: set[str]) -> subprocess.CompletedProcess[str]:
    script = BLOCK.format(words=words, blocked=blocked)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("command", ["verify", "inspect", "keygen", "keys", "commit"])
def test_an_auditors_commands_need_no_torch(command: str, crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = map(str, crafted)
    words = {
        "verify": ["verify", base, bundle, "--report", str(tmp_path / "page.html")],
        "inspect": ["inspect", bundle, "--image", str(tmp_path / "sheet.png")],
        "keygen": ["keygen", "-o", str(tmp_path / "key.pem")],
        "keys": ["keys", "add", "alice", "ab" * 32],
        "commit": ["commit", bundle, "-o", str(tmp_path / "opening.json")],
    }[command]
    done = run(words, {"torch", "onnx2torch", "torchvision"})
    assert done.returncode in (0, 11), done.stderr


def test_only_a_page_needs_what_pages_are_made_with(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    base, bundle = map(str, crafted)
    heavy = {"matplotlib", "jinja2", "markupsafe"}
    assert run(["verify", base, bundle], heavy).returncode in (0, 11)
    assert run(["inspect", bundle, "--image", str(tmp_path / "sheet.png")], heavy).returncode == 0


def test_an_auditor_checks_a_time_stamp_without_torch(
    crafted: tuple[Path, Path], tmp_path: Path, authority: Any
) -> None:
    base, bundle = crafted
    token = tmp_path / "a.tsr"
    token.write_bytes(authority.stamp(bundle.read_bytes()))
    words = ["verify", base, bundle, "--timestamp", token, "--tsa-certificate", authority.path("ca")]
    done = run(list(map(str, words)), {"torch", "onnx2torch", "torchvision"})
    assert done.returncode in (0, 11), done.stderr
    assert "existed before" in done.stdout


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, onnxfp; dir(onnxfp); heavy = {'torch', 'onnx', 'onnxruntime', 'scipy', 'numpy', 'rich'} & "
        "set(sys.modules); sys.exit(str(heavy) if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_help_answers_at_once() -> None:
    # CPU seconds, least of five, as the machine is shared: what it costs, not how long it waits.
    def cost() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "onnxfp", "--help"], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(cost() for _ in range(5)) < 0.3


def test_generate_without_torch_says_what_is_missing(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    done = run(["generate", str(crafted[0]), "-o", str(tmp_path / "a.npz")], {"torch"})
    assert done.returncode == 6
    assert "torch" in done.stderr
    assert 'hint: pip install "onnxfp[generate]"' in done.stderr


def test_check_without_torch_names_the_extra(crafted: tuple[Path, Path]) -> None:
    done = run(["check", str(crafted[0])], {"torch"})
    assert done.returncode == MissingExtraError.exit_code
    assert done.stderr == 'error: torch is not installed\nhint: pip install "onnxfp[generate]"\n'
    assert done.stdout == ""


def test_training_variants_without_torch_names_the_extra(crafted: tuple[Path, Path], tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", images=np.zeros((20, 3, 16, 16), np.float32), labels=np.arange(20) % 5)
    words = ["evaluate", *map(str, crafted), "--suite", "standard", "--data", str(tmp_path / "data.npz")]
    done = run(words, {"torch"})
    assert done.returncode == MissingExtraError.exit_code
    assert done.stderr.endswith('error: torch is not installed\nhint: pip install "onnxfp[generate]"\n')


@pytest.mark.parametrize(("suite", "has_labels"), [("quick", True), ("standard", False)])
def test_variants_that_are_not_trained_need_no_torch(suite: str, has_labels: bool) -> None:
    script = (
        "import sys; sys.modules['torch'] = None; from onnxfp.variants.catalogue import list_variants; "
        f"assert len(list_variants({suite!r}, has_labels={has_labels})) > 10"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("missing", [{"jinja2"}, {"matplotlib"}, {"jinja2", "matplotlib"}])
@pytest.mark.parametrize("command", ["verify", "evaluate"])
def test_a_page_that_cannot_be_drawn_is_refused_before_any_work(
    command: str, missing: set[str], crafted: tuple[Path, Path], tmp_path: Path
) -> None:
    base, bundle = map(str, crafted)
    done = run([command, base, bundle, "--report", str(tmp_path / "page.html")], missing)
    assert done.returncode == MissingExtraError.exit_code
    names, verb = " and ".join(sorted(missing)), "is" if len(missing) == 1 else "are"
    assert done.stderr == f'error: {names} {verb} not installed\nhint: pip install "onnxfp[report]"\n'
    assert done.stdout == ""
    assert not (tmp_path / "page.html").exists()

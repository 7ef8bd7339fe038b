"""Use of an installed wheel in an environment without torch: ``python -m tests.installed_wheel FOLDER``.

FOLDER is a virtual environment with the wheel and its core dependencies. ``make audit-install`` builds it and runs this
program twice: with ``--without-pages`` before the extra for pages is installed, and without it afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
BUNDLE = REPOSITORY / "tests" / "golden" / "base-1.fp.npz"
STOLEN = REPOSITORY / "models" / "stolen" / "int8.onnx"
BASE = REPOSITORY / "models" / "base.onnx"

FILES = """
import importlib.metadata, importlib.util, json, onnxfp
files = importlib.metadata.files("onnxfp")
print(json.dumps({
    "path": onnxfp.__file__,
    "tops": sorted({str(file).split("/")[0].split("-")[0] for file in files if not str(file).startswith("..")}),
    "names": sorted(map(str, files)),
    "present": [name for name in ("torch", "jinja2", "matplotlib") if importlib.util.find_spec(name)],
}))
"""


class Installation:
    """The commands of one environment, run in a folder of their own.

    Args:
        environment: The virtual environment.
        folder: Working folder, outside the checkout, so that only the installed package can be imported.
    """

    def __init__(self, environment: Path, folder: Path) -> None:
        self.programs = environment.absolute() / "bin"
        self.folder = folder
        # What the caller's own environment adds to the path must not take the place of what is installed.
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self.variables["ONNXFP_HOME"] = str(folder / "home")

    def run(self, program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Return how one program of the environment ended."""
        return subprocess.run(
            [self.programs / program, *words],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


def check_files(installation: Installation, *, has_pages: bool) -> None:
    """Check what is installed: this package alone, whole, and none of the extras that were left out."""
    done = installation.run("python", "-c", FILES)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["path"]).is_relative_to(installation.programs.parent), found["path"]
    assert found["tops"] == ["onnxfp"], found["tops"]
    assert found["present"] == (["jinja2", "matplotlib"] if has_pages else []), found["present"]
    package = REPOSITORY / "onnxfp"
    files = {str(path.relative_to(REPOSITORY)) for path in package.rglob("*") if path.is_file()}
    missing = {name for name in files if "__pycache__" not in name} - set(found["names"])
    assert not missing, missing


def check_audit(installation: Installation) -> None:
    """Check that the core verifies and inspects."""
    done = installation.run("onnxfp", "verify", STOLEN, BUNDLE, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["decision"]["verdict"] == "MATCH", done.stdout
    done = installation.run("onnxfp", "inspect", BUNDLE)
    assert done.returncode == 0, done.stderr


def check_missing_extra(installation: Installation, extra: str, packages: str, *words: str | Path) -> None:
    """Check that a command refuses at once, and names the extra."""
    done = installation.run("onnxfp", *words)
    assert done.returncode == 6, (done.returncode, done.stderr)
    assert done.stdout == "", done.stdout
    assert done.stderr == f'error: {packages} not installed\nhint: pip install "onnxfp[{extra}]"\n', done.stderr


def check_page(installation: Installation) -> None:
    """Check that a page is written, with the templates of the installed package."""
    page = installation.folder / "report.html"
    done = installation.run("onnxfp", "verify", STOLEN, BUNDLE, "--report", page)
    assert done.returncode == 0, done.stderr
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>"), text[:100]
    assert "<svg" in text
    assert "MATCH" in text


def main() -> None:
    """Check one environment; an assertion that fails ends the program."""
    parser = argparse.ArgumentParser(description="Use an installed wheel in an environment without torch.")
    parser.add_argument("environment", type=Path)
    parser.add_argument("--without-pages", action="store_true", help="The extra for pages is not installed.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="onnxfp-") as folder:
        installation = Installation(given.environment, Path(folder))
        check_files(installation, has_pages=not given.without_pages)
        check_missing_extra(installation, "generate", "torch is", "generate", BASE, "-o", Path(folder) / "base.fp.npz")
        check_missing_extra(installation, "generate", "torch is", "check", BASE)
        if given.without_pages:
            check_audit(installation)
            words = ("verify", STOLEN, BUNDLE, "--report", Path(folder) / "report.html")
            check_missing_extra(installation, "report", "jinja2 and matplotlib are", *words)
        else:
            check_page(installation)


if __name__ == "__main__":
    main()

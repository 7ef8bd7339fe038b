"""What is promised about installing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

import onnxfp
from onnxfp.extras import EXTRAS


@pytest.fixture
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))


def test_each_extra_brings_the_packages_that_its_error_names(project: dict[str, Any]) -> None:
    from packaging.requirements import Requirement

    found = {
        extra: tuple(Requirement(text).name for text in requirements)
        for extra, requirements in project["project"]["optional-dependencies"].items()
    }
    assert found == EXTRAS


def test_the_core_holds_nothing_of_the_extras(project: dict[str, Any]) -> None:
    from packaging.requirements import Requirement

    core = {Requirement(text).name for text in project["project"]["dependencies"]}
    assert core.isdisjoint(package for packages in EXTRAS.values() for package in packages)
    assert "audit" not in project["dependency-groups"]


def test_onnxruntime_comes_in_exactly_one_flavour_on_every_platform(project: dict[str, Any]) -> None:
    from packaging.requirements import Requirement

    requirements = [Requirement(text) for text in project["project"]["dependencies"] if text.startswith("onnxruntime")]
    for system, machine, expected in (
        ("Linux", "x86_64", "onnxruntime-gpu"),
        ("Windows", "AMD64", "onnxruntime-gpu"),
        ("Linux", "aarch64", "onnxruntime"),
        ("Darwin", "arm64", "onnxruntime"),
        ("Darwin", "x86_64", "onnxruntime"),
        ("Windows", "ARM64", "onnxruntime"),
    ):
        place = {"platform_system": system, "platform_machine": machine}
        chosen = [r.name for r in requirements if r.marker is not None and r.marker.evaluate(place)]
        assert chosen == [expected], place


def test_what_is_no_python_is_installed_with_the_package(project: dict[str, Any], repository: Path) -> None:
    patterns = project["tool"]["setuptools"]["package-data"]["onnxfp"]
    package = repository / "onnxfp"
    installed = {path for pattern in patterns for path in package.glob(pattern)}
    others = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert others == installed
    assert package / "report" / "html" / "templates" / "page.css" in installed


def test_the_changelog_knows_this_version(repository: Path) -> None:
    assert f"## {onnxfp.__version__}" in (repository / "CHANGELOG.md").read_text(encoding="utf-8")


def test_no_file_names_a_place_of_one_machine(repository: Path) -> None:
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=repository, capture_output=True, text=True, check=True).stdout
    files = [repository / name for name in listed.splitlines() if not name.endswith((".onnx", ".npz"))]
    assert len(files) > 50
    for file in files:
        if file != Path(__file__) and file.exists():
            text = file.read_text(encoding="utf-8", errors="replace")
            assert "/root/" not in text, file
            assert "/work/" not in text, file

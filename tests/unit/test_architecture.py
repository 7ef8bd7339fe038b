"""docs/architecture.md names every module once, and nothing that does not exist."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "onnxfp"
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")

# A file or folder in code marks: its name has a slash, or the ending of a file.
_PATH = re.compile(r"`([\w./-]*/[\w./-]*|[\w-]+\.(?:py|json|md|toml))`")


def section(title: str) -> str:
    """Return the text under a heading of the second level."""
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def list_modules() -> set[str]:
    """Return the modules of the package by dotted name; a room itself has its heading instead of a row."""
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    return {".".join(path.parts) for path in paths if path.name != "__init__"}


def test_every_module_has_one_row() -> None:
    named = Counter(re.findall(r"^\| `([\w.]+)` \| \S", section("Rooms"), re.MULTILINE))
    modules = list_modules()
    problems = [f"add a row for {name}" for name in sorted(modules - set(named))]
    problems += [f"remove the row of {name}, which does not exist" for name in sorted(set(named) - modules)]
    problems += [f"{name} has {count} rows" for name, count in sorted(named.items()) if count > 1]
    assert not problems, "docs/architecture.md, Rooms: " + "; ".join(problems)


def test_every_room_has_a_heading_and_its_modules_are_under_it() -> None:
    parts = re.split(r"^### ", section("Rooms"), flags=re.MULTILINE)[1:]
    rooms = {part.split("\n", 1)[0]: re.findall(r"^\| `([\w.]+)` \|", part, re.MULTILINE) for part in parts}
    folders = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")} - {""}
    assert set(rooms) == folders | {"Ground"}
    for room, names in rooms.items():
        assert {name.rpartition(".")[0] for name in names} == ({""} if room == "Ground" else {room}), room


def test_every_path_exists() -> None:
    paths = _PATH.findall(PAGE)
    assert len(paths) > 20
    missing = sorted({path for path in paths if not any((root / path).exists() for root in (PACKAGE, REPOSITORY))})
    assert not missing, f"docs/architecture.md names what does not exist: {missing}"


def test_every_dotted_name_in_the_text_is_a_module() -> None:
    text = PAGE.replace(section("Rooms"), "")
    rooms = {name.split(".")[0] for name in list_modules() if "." in name}
    named = {name for name in re.findall(r"`(\w+(?:\.\w+)+)`", text) if name.split(".")[0] in rooms}
    assert len(named) > 3
    folders = {".".join(path.parent.relative_to(PACKAGE).parts) for path in PACKAGE.rglob("__init__.py")}
    assert named <= list_modules() | folders, named - list_modules() - folders

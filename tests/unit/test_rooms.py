"""The order of the rooms: imports downwards only, no circle, and heavy libraries where they belong.

Each check is a function over the imports of a package, so that it is tried on made-up packages, too.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

NAME = "onnxfp"
ROOMS = (
    *("cli", "api", "evaluation", "variants", "report", "crafting", "evidence", "suspects", "trust", "torch_copy"),
    *("bundle", "runtime", "recipe", "model"),
)
"""From the top to the bottom. Below them is the ground: the modules that are in no room."""

# The public names are used by the command line, and are those of the rooms below it.
ORDER = ("__main__", "cli", NAME, *ROOMS[1:], "ground")

HOMES = {
    "torch": ("torch_copy.", "crafting.", "variants.training"),
    "jinja2": ("report.html.",),
    "matplotlib": ("report.html.",),
    "subprocess": ("runtime.launch",),
}
"""Where a library may be imported: rooms, with a dot at the end, and modules."""

SESSIONS = ("InferenceSession", "SessionOptions")
OPENS_SESSIONS = "runtime.local"

MAX_SHARE = 0.2
MAX_LINES = 400
# One module for each family of operators: a table rather than a room.
OPERATORS = "torch_copy.operators"


@dataclass(frozen=True)
class Module:
    """One module.

    Attributes:
        tree: Its syntax tree.
        n_lines: Number of its lines.
        imports: Full names that it imports, anywhere in it, also for type checkers alone.
    """

    tree: ast.Module
    n_lines: int
    imports: frozenset[str]


Modules = Mapping[str, Module]
"""Modules by their name within the package, which is empty for the package itself."""


def read_package(folder: Path) -> Modules:
    """Return the modules of the package in a folder."""
    modules = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        within = [NAME, *(parts[:-1])]
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        modules[name] = Module(tree, len(text.splitlines()), frozenset(_list_imports(tree, within)))
    return modules


def _list_imports(tree: ast.Module, within: list[str]) -> Iterator[str]:
    """Yield full names, those of modules and those of what is taken out of them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = within[: len(within) - node.level + 1] if node.level else []
            source = ".".join([*start, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _arrows(modules: Modules) -> Iterator[tuple[str, str]]:
    """Yield each module with each other module of the package that it imports."""
    for name, module in modules.items():
        targets = set()
        for imported in module.imports:
            top, _, rest = imported.partition(".")
            if top == NAME:
                # What is no module is a name in one.
                targets.add(rest if rest in modules else rest.rpartition(".")[0])
        yield from ((name, target) for target in sorted(targets - {name}))


def _room(name: str) -> str:
    first, _, rest = name.partition(".")
    if name in ("", "__main__"):
        return name or NAME
    return first if rest or first in ROOMS else "ground"


def find_upward_imports(modules: Modules) -> list[str]:
    """Return the imports that go up, and the rooms that have no place."""
    unknown = sorted({_room(name) for name in modules} - set(ORDER))
    if unknown:
        return [f"{room} is not in the order of the rooms" for room in unknown]
    rank = {room: number for number, room in enumerate(ORDER)}
    return [f"{a or NAME} -> {b or NAME}" for a, b in _arrows(modules) if rank[_room(b)] < rank[_room(a)]]


def find_circles(modules: Modules) -> list[str]:
    """Return the first circle of modules that import each other, if there is one."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for a, b in _arrows(modules):
        sorter.add(a, b)
    try:
        sorter.prepare()
    except CycleError as error:
        return [" -> ".join(reversed(error.args[1]))]
    return []


def find_strayed_libraries(modules: Modules) -> list[str]:
    """Return the imports of heavy libraries, and of what starts processes, outside their homes."""
    return [
        f"{name} imports {library}"
        for name, module in modules.items()
        for library in sorted({imported.partition(".")[0] for imported in module.imports} & HOMES.keys())
        if not any(f"{name}.".startswith(home) if home.endswith(".") else name == home for home in HOMES[library])
    ]


def find_sessions(modules: Modules) -> list[str]:
    """Return the modules that name onnxruntime's sessions or their options, besides the one that opens them."""
    found = []
    for name, module in modules.items():
        named = {node.attr for node in ast.walk(module.tree) if isinstance(node, ast.Attribute)}
        taken = {imported.rpartition(".")[2] for imported in module.imports}
        if (named | taken).intersection(SESSIONS) and name != OPENS_SESSIONS:
            found.append(name)
    return found


def find_large_rooms(modules: Modules) -> list[str]:
    """Return the rooms that hold more than a fifth of the package's lines, apart from the operators."""
    sizes: dict[str, int] = {}
    for name, module in modules.items():
        if not f"{name}.".startswith(f"{OPERATORS}."):
            sizes[_room(name)] = sizes.get(_room(name), 0) + module.n_lines
    total = sum(module.n_lines for module in modules.values())
    return [f"{room}: {size} of {total} lines" for room, size in sizes.items() if size > MAX_SHARE * total]


def find_long_modules(modules: Modules) -> list[str]:
    """Return the modules that are too long."""
    return [f"{name}: {module.n_lines} lines" for name, module in modules.items() if module.n_lines > MAX_LINES]


Check = Callable[[Modules], list[str]]
CHECKS: tuple[Check, ...] = (
    *(find_upward_imports, find_circles, find_strayed_libraries, find_sessions, find_large_rooms, find_long_modules),
)


@pytest.fixture(scope="module")
def modules(repository: Path) -> Modules:
    return read_package(repository / NAME)


@pytest.mark.parametrize("check", CHECKS)
def test_the_package_keeps_the_rule(check: Check, modules: Modules) -> None:
    assert check(modules) == []


def test_every_room_and_every_home_is_there(modules: Modules) -> None:
    """A rule about a room that was renamed would hold of nothing."""
    assert {_room(name) for name in modules} == {*ORDER}
    for library, homes in HOMES.items():
        users = {name for name, module in modules.items() if library in {i.partition(".")[0] for i in module.imports}}
        for home in homes:
            assert any(f"{user}.".startswith(home) for user in users), (library, home)
    assert OPENS_SESSIONS in modules
    assert any(name.startswith(OPERATORS) for name in modules)


KEPT = {
    "__init__.py": "from onnxfp.api.generation import generate",
    "__main__.py": "from onnxfp.cli import main",
    "cli/__init__.py": "import onnxfp",
    "api/generation.py": "from onnxfp.crafting import loop\nfrom onnxfp.runtime.local import open_model",
    "crafting/loop.py": "import torch.nn as nn\nfrom onnxfp.files import write_file",
    "report/html/page.py": "import jinja2",
    "runtime/local.py": "import onnxruntime\nonnxruntime.InferenceSession",
    "runtime/launch.py": "import subprocess",
    "files.py": "from onnxfp import errors",
    "errors.py": "",
}

BROKEN: list[tuple[Check, dict[str, str], list[str]]] = [
    (find_upward_imports, {"model/a.py": "import onnxfp.report.html.page"}, ["model.a -> report.html.page"]),
    (find_upward_imports, {"errors.py": "from onnxfp.runtime import local"}, ["errors -> runtime.local"]),
    (find_upward_imports, {"trust/a.py": "from onnxfp import generate"}, ["trust.a -> onnxfp"]),
    (find_upward_imports, {"recipe/a.py": "from ..runtime import local"}, ["recipe.a -> runtime.local"]),
    (
        find_upward_imports,
        {"bundle/a.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from onnxfp.cli import main"},
        ["bundle.a -> cli"],
    ),
    (
        find_upward_imports,
        {"model/a.py": "def late():\n    from onnxfp.crafting.loop import craft"},
        ["model.a -> crafting.loop"],
    ),
    (find_upward_imports, {"attic/a.py": ""}, ["attic is not in the order of the rooms"]),
    (
        find_circles,
        {"model/a.py": "import onnxfp.model.b", "model/b.py": "def late():\n    from . import a"},
        ["model.a -> model.b -> model.a"],
    ),
    (find_strayed_libraries, {"api/a.py": "from torch.nn import functional"}, ["api.a imports torch"]),
    (find_strayed_libraries, {"variants/training_more.py": "import torch"}, ["variants.training_more imports torch"]),
    (
        find_strayed_libraries,
        {"report/text.py": "def late():\n    import jinja2, matplotlib"},
        ["report.text imports jinja2", "report.text imports matplotlib"],
    ),
    (find_strayed_libraries, {"evaluation/a.py": "from subprocess import Popen"}, ["evaluation.a imports subprocess"]),
    (find_sessions, {"variants/a.py": "import onnxruntime\nonnxruntime.InferenceSession"}, ["variants.a"]),
    (find_sessions, {"runtime/a.py": "from onnxruntime import SessionOptions as Options"}, ["runtime.a"]),
    (find_long_modules, {"model/a.py": "x = 1\n" * 401}, ["model.a: 401 lines"]),
]


def _write(folder: Path, files: Mapping[str, str]) -> Modules:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_package(folder)


@pytest.mark.parametrize("check", CHECKS)
def test_a_made_up_package_keeps_the_rules(check: Check, tmp_path: Path) -> None:
    # Of equal lines in each room, none has more than a fifth.
    rooms = {f"{room}/lines.py": "x = 1\n" * 10 for room in ROOMS}
    operators = {"torch_copy/operators/many.py": "x = 1\n" * 390}
    assert check(_write(tmp_path, {**KEPT, **rooms, **operators})) == []


@pytest.mark.parametrize(("check", "files", "found"), BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_rule_is_found(check: Check, files: dict[str, str], found: list[str], tmp_path: Path) -> None:
    assert check(_write(tmp_path, {**KEPT, **files})) == found


def test_a_room_that_is_too_large_is_found(tmp_path: Path) -> None:
    files = {f"{room}/lines.py": "x = 1\n" * 10 for room in ("api", "bundle", "trust", "recipe")}
    assert find_large_rooms(_write(tmp_path, {**files, "model/a.py": "x = 1\n" * 10})) == []
    assert find_large_rooms(_write(tmp_path, {"model/a.py": "x = 1\n" * 11})) == ["model: 11 of 51 lines"]

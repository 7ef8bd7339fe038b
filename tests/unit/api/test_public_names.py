"""The public names: one list of them, every type that they mention, and a command line that needs no others."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import FunctionType
from typing import Any, get_args, get_type_hints

import pytest
import torch
from securesystemslib.signer import CryptoSigner

import onnxfp

PACKAGE = Path(onnxfp.__file__).parent
NAMES: dict[str, tuple[str, ...]] = onnxfp._NAMES
"""The public names, by the module that defines them."""

# Names that only a type checker imports where they are used.
LOCAL = {"CryptoSigner": CryptoSigner, "torch": torch}

MAY_IMPORT = {
    "onnxfp": "the public names",
    "onnxfp.cli": "the commands themselves",
    "onnxfp.errors": "exit codes, and errors of the command line's own",
    "onnxfp.execution": "the ends of the ranges, for messages that name the option",
    "onnxfp.files": "files that appear whole or not at all",
    "onnxfp.limits": "the ends of the ranges, for the help",
    "onnxfp.evidence.top_k": "sentences that page and terminal share",
    "onnxfp.extras": "the extra of the pages, named before the work",
    "onnxfp.runtime.launch": "a head start for the suspect's process, which changes no result",
    "onnxfp.report.facts": "facts in words, which page and terminal share",
    "onnxfp.report.html": "pages, the contact sheet",
    "onnxfp.text": "strangers' text on a terminal",
}
"""Modules that the command line may import, and what for. A name of another module becomes public first."""


def public_values() -> dict[str, Any]:
    return {name: getattr(onnxfp, name) for name in onnxfp.__all__}


def imports_for_type_checkers() -> dict[str, tuple[str, ...]]:
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    found = {}
    for statement in block.body:
        assert isinstance(statement, ast.ImportFrom)
        # Without "as" a strict type checker takes a name for a private one.
        assert all(alias.asname == alias.name for alias in statement.names)
        found[str(statement.module)] = tuple(alias.name for alias in statement.names)
    return found


def test_type_checkers_see_the_same_names() -> None:
    assert imports_for_type_checkers() == NAMES


def test_no_name_stands_for_two_things() -> None:
    names = [name for names in NAMES.values() for name in names]
    assert len(set(names)) == len(names)
    assert set(onnxfp.__all__) == {"__version__", *names}
    assert dir(onnxfp) == sorted(onnxfp.__all__)


@pytest.mark.parametrize("name", onnxfp.__all__)
def test_every_name_is_there(name: str) -> None:
    value = getattr(onnxfp, name)
    if inspect.isclass(value) or isinstance(value, FunctionType):
        assert value.__doc__, name


def test_another_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        onnxfp.nothing  # noqa: B018


def mentioned(annotation: Any) -> Iterator[type]:
    """Yield the classes in an annotation, however deep."""
    if inspect.isclass(annotation) and not get_args(annotation):
        yield annotation
    for part in get_args(annotation):
        for inner in part if isinstance(part, list) else [part]:
            yield from mentioned(inner)


def hints(value: Any) -> Iterator[Any]:
    """Yield the annotations of a function, or of a record's fields, properties and methods that are public."""
    known = {**public_values(), **LOCAL}
    if isinstance(value, FunctionType):
        yield from get_type_hints(value, localns=known).values()
    elif inspect.isclass(value):
        if is_dataclass(value):
            yield from get_type_hints(value, localns=known).values()
        for name, member in vars(value).items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if not name.startswith("_") and isinstance(function, FunctionType):
                yield from get_type_hints(function, localns=known).values()


@pytest.mark.parametrize("name", onnxfp.__all__)
def test_every_type_that_a_public_name_mentions_is_public(name: str) -> None:
    public = set(map(id, public_values().values()))
    types = {kind for hint in hints(getattr(onnxfp, name)) for kind in mentioned(hint)}
    hidden = {kind for kind in types if kind.__module__.startswith("onnxfp") and id(kind) not in public}
    assert not hidden, f"{name} mentions {sorted(kind.__qualname__ for kind in hidden)}"


def test_the_walk_finds_types_in_callables_and_unions() -> None:
    found = {kind for hint in hints(onnxfp.generate) for kind in mentioned(hint)}
    assert {onnxfp.Progress, onnxfp.ModelIO, onnxfp.Execution, onnxfp.Fingerprint} <= found


def test_every_error_is_public() -> None:
    from onnxfp import errors

    # CodecError is no deliberate error: the owner of each document turns it into one.
    classes = {name: value for name, value in vars(errors).items() if inspect.isclass(value)}
    defined = {name for name, value in classes.items() if issubclass(value, errors.OnnxfpError)}
    assert set(NAMES["onnxfp.errors"]) == defined


def imported_modules(path: Path) -> Iterator[str]:
    """Yield the modules of the package that a file imports, but for those that only a type checker does."""

    def walk(node: ast.AST) -> Iterator[str]:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield str(node.module)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    for module in walk(ast.parse(path.read_text(encoding="utf-8"))):
        if module.split(".")[0] == "onnxfp":
            yield module


def test_the_command_line_needs_no_private_module() -> None:
    used = {
        (str(path.relative_to(PACKAGE)), module)
        for path in sorted((PACKAGE / "cli").rglob("*.py"))
        for module in imported_modules(path)
    }
    exact = {"onnxfp"}

    def is_allowed(module: str) -> bool:
        return module in MAY_IMPORT or any(module.startswith(f"{room}.") for room in MAY_IMPORT if room not in exact)

    assert {(file, module) for file, module in used if not is_allowed(module)} == set()
    # What is no longer needed leaves the list.
    needed = {room for room in MAY_IMPORT if any(m == room or (m.startswith(f"{room}.")) for _, m in used)}
    assert needed == set(MAY_IMPORT)


@pytest.mark.parametrize("name", ["generate", "verify", "evaluate"])
def test_the_three_calls_stay_a_list_of_stages(name: str) -> None:
    source = inspect.getsource(getattr(onnxfp, name))
    (function,) = ast.parse(source).body
    assert isinstance(function, ast.FunctionDef)
    n_lines = len(source.rstrip().splitlines())
    assert n_lines < 60
    assert n_lines - function.body[1].lineno + 1 <= 40

"""Names within a model that steer the terminal of whoever verifies it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from onnxfp.cli import main
from onnxfp.text import escape_text

PAINT = "\x1b[2J\x1b[1;1Hverdict  MATCH\u202e"


def in_input(model: onnx.ModelProto) -> None:
    model.graph.input[0].name = model.graph.node[0].input[0] = PAINT
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = PAINT


def in_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = PAINT


def in_second_output(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Relu", ["logits"], [PAINT]))
    model.graph.output.append(helper.make_tensor_value_info(PAINT, 1, ["N", 5]))


def in_operator(model: onnx.ModelProto) -> None:
    model.graph.node[0].op_type = PAINT


def in_domain(model: onnx.ModelProto) -> None:
    model.graph.node[0].domain = PAINT


def in_node(model: onnx.ModelProto) -> None:
    model.graph.node[0].name = PAINT
    model.graph.node[0].input[1] = "nowhere"


def in_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].name = model.graph.node[0].input[1] = PAINT
    model.graph.initializer[0].dims[0] = -1


PLACES = [in_input, in_output, in_second_output, in_operator, in_domain, in_node, in_weights]


@pytest.mark.parametrize("paint", PLACES, ids=lambda f: f.__name__)
@pytest.mark.parametrize("command", ["verify", "check", "generate"])
def test_nothing_of_it_reaches_the_terminal(
    paint: Callable[[onnx.ModelProto], None],
    command: str,
    make_classifier: Callable[..., onnx.ModelProto],
    crafted: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = make_classifier()
    paint(model)
    path = tmp_path / "painted.onnx"
    path.write_bytes(model.SerializeToString())
    more = {
        "verify": [str(crafted[1])],
        "check": [],
        "generate": ["-n", "2", "--steps", "2", "-o", str(tmp_path / "o")],
    }
    code = main([command, str(path), *more[command]])
    assert code != 1
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert all(line.isprintable() for line in text.splitlines())
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_such_text_is_escaped_and_other_text_stays() -> None:
    assert escape_text("a\x1b[2Jb\nc\u202e\ud800 \u00e9", keep_lines=True) == "a\\x1b[2Jb\nc\\u202e\\ud800 \u00e9"

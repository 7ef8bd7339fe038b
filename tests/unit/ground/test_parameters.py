"""The records of parameters that travel together."""

from __future__ import annotations

import pytest

from onnxfp import Bounds, Execution, InputGrid, Limits, ModelIO, ParameterError, TimeEvidence
from onnxfp.execution import IN_PROCESS, ISOLATED


def test_models_are_isolated_unless_told_otherwise() -> None:
    assert Execution() == ISOLATED == Execution("auto", Limits())
    assert Execution(limits=None) == IN_PROCESS


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ParameterError, match="no device 'gpu'") as raised:
        Execution("gpu")  # type: ignore[arg-type]
    assert "cuda" in raised.value.hint


@pytest.mark.parametrize("shape", [(3, 0, 8), (-1,)])
def test_the_shape_of_an_example_is_positive(shape: tuple[int, ...]) -> None:
    with pytest.raises(ParameterError, match="are positive"):
        ModelIO(input_shape=shape)


def test_choices_are_copied() -> None:
    fixed = {"t": 1.0}
    io = ModelIO(input_shape=[3, 8, 8], fixed=fixed)  # type: ignore[arg-type]
    fixed["t"] = 2.0
    assert (io.input_shape, io.fixed) == ((3, 8, 8), {"t": 1.0})


@pytest.mark.parametrize(
    "choice",
    [
        {"input_name": "x"},
        {"input_shape": (3,)},
        {"output_name": "y"},
        {"fixed": {"t": 1.0}},
        {"grid": InputGrid(Bounds(-1, 1))},
    ],
)
def test_a_single_choice_is_no_longer_the_default(choice: dict[str, object]) -> None:
    assert ModelIO().is_default
    assert not ModelIO(**choice).is_default  # type: ignore[arg-type]


@pytest.mark.parametrize("half", [{"timestamp": "a.tsr"}, {"tsa_certificate": "ca.pem"}, {"opening": "a.json"}])
def test_evidence_of_time_comes_with_its_other_half(half: dict[str, str]) -> None:
    with pytest.raises(ParameterError):
        TimeEvidence(**half)

"""Requirement: what it takes to convict, checked against the verdict itself."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnxfp
from onnxfp.errors import ParameterError
from onnxfp.evidence.null import ReferenceCount, estimate_null
from onnxfp.evidence.priors import Conditions, Prior, find_prior
from onnxfp.evidence.requirement import PLAUSIBLE_RATE, compute_requirement, find_requirement
from onnxfp.evidence.verdict import Counts, Grounds, Policy, Verdict, judge
from onnxfp.recipe.defaults import RecipeOverrides, choose_n_examples

# Numbers of a measurement, written down here so that the next one does not change what is tested.
PRIOR = Prior(tuple((k, 100) for k in (19, 22, 44, 45, 14, 13, 15)), "siblings", 0.74)
UNKNOWN = Prior((), "nothing is known", 0.5)


def power(n: int, *, m: int | None = None, n_classes: int = 10, prior: Prior = PRIOR, **policy: Any) -> Any:
    return compute_requirement((), prior, Policy(**policy), n_classes=n_classes, n_examples=n, n_candidates=m or n)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (200, 200), (200, 205), (400, 400)])
def test_it_is_the_count_from_which_on_the_verdict_is_match(n: int, m: int) -> None:
    found = power(n, m=m)
    null = estimate_null([], [], PRIOR, n_classes=10, n_candidates=m)
    task = Conditions("coarse", 16 / 255, 10, (32, 32))
    verdicts = [judge(Grounds(Counts(k, n, n, m), task), Policy(), null=null).decision.verdict for k in range(n + 1)]
    if found.min_matches is None:
        assert Verdict.MATCH not in verdicts
        return
    assert verdicts[found.min_matches - 1] is not Verdict.MATCH
    assert verdicts[found.min_matches] is Verdict.MATCH
    assert found.min_rate == found.min_matches / n


def test_the_default_number_of_examples_has_no_obstacle() -> None:
    for prior in (PRIOR, find_prior(Conditions("coarse", 16 / 255, 10, (32, 32)))):
        found = power(choose_n_examples(10), prior=prior)
        assert found.min_rate <= PLAUSIBLE_RATE
        assert (found.obstacle, found.remedies) == ("", ())


def test_an_implausible_rate_is_an_obstacle_that_more_examples_remove() -> None:
    found = power(90)
    assert found.min_rate > PLAUSIBLE_RATE
    assert "89 matches of 90, 98.9%" in found.obstacle
    assert found.remedies[0] == "100 examples (-n 100) would take 98 matches, 98.0%."
    assert power(100).min_matches == 98
    assert found.remedies[1].startswith("8 references of the verifier's own")
    # What is promised for references holds when a verifier brings them.
    strangers = [ReferenceCount("", 9, 90)] * 8
    null = estimate_null([], strangers, PRIOR, n_classes=10, n_candidates=90)
    assert f"take {null.min_matches(1e-6)} matches" in found.remedies[1]


def test_too_few_examples_for_any_match() -> None:
    found = power(30)
    assert (found.min_matches, found.min_rate) == (None, None)
    assert "Not even 30 matches of 30" in found.obstacle
    few = power(10, n_classes=1000, prior=find_prior(Conditions("coarse", 32 / 255, 1000, (224, 224))))
    assert few.min_matches is None
    assert "10 examples are fewer than the 20" in few.obstacle


def test_where_nothing_is_known_only_references_help() -> None:
    found = power(200, prior=UNKNOWN)
    assert found.min_matches is None
    assert len(found.remedies) == 1
    assert "8 references" in found.remedies[0]
    # Nor do they, where nobody measured what an accuser who avoids them reaches.
    (remedy,) = power(200, prior=replace(UNKNOWN, attack_bound=None)).remedies
    assert remedy == "Neither more examples nor references of the verifier's own would be enough."


def test_where_nothing_helps_that_is_said() -> None:
    # Two classes: whoever guesses matches half of so few examples.
    found = power(20, n_classes=2, prior=UNKNOWN, min_examples=1000)
    assert found.remedies == ("Neither more examples nor references of the verifier's own would be enough.",)


def test_references_of_the_owner_can_only_demand_more() -> None:
    for matches in (0, 50, 150, 200):
        owner = [ReferenceCount("", matches, 200)] * 8
        found = compute_requirement(owner, PRIOR, Policy(), n_classes=10, n_examples=200, n_candidates=200)
        assert found.min_matches is None or found.min_matches >= power(200).min_matches
    assert found.min_matches is None
    assert found.obstacle


def test_impossible_numbers_are_refused() -> None:
    for n, m in ((0, 10), (11, 10)):
        with pytest.raises(ParameterError, match="examples <= candidates"):
            compute_requirement((), PRIOR, Policy(), n_classes=10, n_examples=n, n_candidates=m)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the warnings of a requirement; that of descent is another one."""
    return [record.getMessage() for record in caplog.records if "MATCH at 1e-06" in record.getMessage()]


@pytest.fixture
def quick(easy: RecipeOverrides) -> RecipeOverrides:
    """So many steps that hardly a candidate is lost."""
    return replace(easy, kind="c", noise=0.0, n_steps=60)


def test_generate_warns_before_the_work(
    covered_path: Path, quick: RecipeOverrides, caplog: pytest.LogCaptureFixture
) -> None:
    at_first_step: list[int] = []
    with caplog.at_level(logging.WARNING):
        fingerprint = onnxfp.generate(
            covered_path, n_examples=20, overrides=quick, on_progress=lambda _: at_first_step.append(len(said(caplog)))
        )
    assert at_first_step[0] == 1
    warning, *later = said(caplog)
    # With some keys a candidate is lost, and what would help is another then.
    assert len(later) <= fingerprint.manifest.n_candidates - 20
    assert warning.startswith("Not even 20 matches of 20 are a MATCH at 1e-06. ")
    assert "examples (-n " in warning
    assert find_requirement(fingerprint.manifest, Policy()).obstacle


def test_generate_warns_of_what_is_known_afterwards_only(
    covered_path: Path, quick: RecipeOverrides, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    # A copy of the base is no reference, but nothing keeps an owner from giving one.
    model = onnx.load(covered_path)
    model.doc_string = "another digest"
    (tmp_path / "copy.onnx").write_bytes(model.SerializeToString())
    at_first_step: list[int] = []
    with caplog.at_level(logging.WARNING):
        onnxfp.generate(
            covered_path,
            overrides=quick,
            references=[tmp_path / "copy.onnx"],
            on_progress=lambda _: at_first_step.append(len(said(caplog))),
        )
    assert at_first_step[0] == 0
    (warning,) = said(caplog)
    assert f"of {choose_n_examples(5)}" in warning


def test_lost_candidates_are_named() -> None:
    found = power(200, m=300)
    assert found.min_matches is None
    assert "with 100 lost candidates that count as mismatches" in found.obstacle
    # Also where there are fewer examples than the policy demands: more of them, as many lost, would not do.
    found = power(4, m=14)
    assert "fewer than the 20 that the policy demands, with 10 lost candidates" in found.obstacle

"""What the tables of benchmarks/ say of the null is what this code says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from onnxfp import Policy
from onnxfp.evidence.null import Null, estimate_null
from onnxfp.evidence.priors import Conditions, find_prior
from onnxfp.types import Spectrum

REPOSITORY = Path(__file__).parents[3]
FALSE_CLAIM = (REPOSITORY / "benchmarks" / "FALSE_CLAIM.md").read_text(encoding="utf-8")


@cache
def null_of(models: str, n: int, *, is_wide: bool = False, is_usual: bool = True) -> Null:
    if models == "ImageNet":
        prior, n_classes = find_prior(Conditions("coarse", 32 / 255, 1000, (224, 224))), 1000
    else:
        spectrum: Spectrum = "white" if "white" in models else "coarse"
        conditions = Conditions(spectrum, 1.0 if is_wide else 16 / 255, 10, (32, 32), is_usual)
        prior, n_classes = find_prior(conditions), 10
    return estimate_null((), (), prior, n_classes=n_classes, n_candidates=n)


def rows_of_claims() -> Iterator[tuple[str, list[str]]]:
    """Yield the models and the cells of every row that tells of one victim."""
    models = ""
    for line in FALSE_CLAIM.splitlines():
        if named := re.fullmatch(r"(CIFAR-10, \w+ seeds|ImageNet):", line):
            models = named[1]
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) in (7, 8) and re.fullmatch(r"\d+/\d+", cells[3]):
            yield models, cells


def test_claims_are_judged_by_the_null_that_is_shipped() -> None:
    rows = list(rows_of_claims())
    assert len(rows) > 50
    for models, cells in rows:
        matches, n = map(int, cells[3].split("/"))
        null = null_of(models, n, is_wide="whole range" in cells[0], is_usual="bounds" not in cells[0])
        least = null.min_matches(Policy().alpha)
        assert cells[-3] == f"{null.p_value(matches):.2g}", cells
        assert cells[-2] == ("none is enough" if least is None else str(least)), cells


def test_grinding_is_judged_by_it_too() -> None:
    rows = re.findall(r"^\| \d+% \(\w+\) \| (\d+) \| \d+ \| (\d+) \| ([\w ]+) \|$", FALSE_CLAIM, re.MULTILINE)
    assert len(rows) > 10
    for n, best, needed in rows:
        least = null_of("CIFAR-10, white seeds", int(n)).min_matches(Policy().alpha)
        assert needed == ("none is enough" if least is None else str(least))
        # What the text above the table says.
        assert int(n) < 60 or (least is not None and int(best) < least)


def test_the_summary_stands_in_the_readme() -> None:
    summary = FALSE_CLAIM.partition("## Summary\n")[2].partition("\n## ")[0].strip()
    assert summary in (REPOSITORY / "README.md").read_text(encoding="utf-8")

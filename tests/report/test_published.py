"""The published columns against what their papers and the talk say of themselves."""

from __future__ import annotations

import pytest

from radspark.labels import NIH_FINDINGS
from radspark.report.published import PUBLISHED_RESULTS


def test_each_column_has_every_finding() -> None:
    assert [tuple(result.auroc) for result in PUBLISHED_RESULTS] == [NIH_FINDINGS.names] * 4


@pytest.mark.parametrize(("name", "mean"), [("Talk 2019", 0.809), ("CheXNet 2017", 0.841)])
def test_means_are_those_that_were_published(name: str, mean: float) -> None:
    (result,) = [result for result in PUBLISHED_RESULTS if result.name == name]
    assert round(result.mean_auroc, 3) == mean

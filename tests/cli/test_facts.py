"""What reports say of the data."""

from __future__ import annotations

import pytest

from radspark.cli.facts import describe_split
from radspark.settings import SplitSettings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (SplitSettings(), "Split by the policy official: validation share 0.1, seed 0."),
        (
            SplitSettings("patient", validation_share=0.3, seed=3),
            "Split by the policy patient: validation share 0.3, test share 0.2, seed 3.",
        ),
        (
            SplitSettings("site", test_sites=("north", "south")),
            "Split by the policy site: validation share 0.1, test sites north, south, seed 0.",
        ),
    ],
)
def test_a_report_says_how_patients_were_split(settings: SplitSettings, said: str) -> None:
    assert describe_split(settings) == said


def test_a_report_warns_of_a_split_that_leaks() -> None:
    assert describe_split(SplitSettings("image-leaks-patients")).endswith(
        "seed 0. Patients stand in several splits, so the figures are too good."
    )

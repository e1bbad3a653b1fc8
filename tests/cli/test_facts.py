"""What reports say of the data."""

from __future__ import annotations

import pytest

from radspark.cli.facts import data_flow, describe_split
from radspark.samples.counts import JoinCounts
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


def test_every_label_and_file_is_accounted_for() -> None:
    counts = JoinCounts(
        labeled=100,
        files=70,
        matched=60,
        repeated_files=3,
        by_split={"train": 30, "validation": 8, "test": 20},
        refused=0,
    )
    flow = dict(data_flow({"train": (29, 1), "validation": (8, 0)}, counts))
    labeled = flow["Radiographs with labels"]
    assert flow["Rows of the label table"] - flow["of them without a radiograph here"] == labeled
    assert (
        flow["Radiographs found, each once"] - flow["of them without a row in the label table"]
        == labeled
        == flow["of them in no split"]
        + flow["of them in the test split, not used here"]
        + flow["of them in the train split"]
        + flow["of them in the validation split"]
    )
    assert flow["of them in the train split"] == flow["refused as unreadable, train"] + flow["Used, train"]
    assert flow["Further files of the same radiographs, left out"] == 3
    assert "refused as unreadable, validation" not in flow and "Files refused when the set was prepared" not in flow

"""From flags to data, and back to flags."""

from __future__ import annotations

import itertools

import pytest

from radspark.cli.data_choice import choose_data, parse_label_rules
from radspark.errors import ArgumentError
from radspark.samples.prepared_set import PreparedSet
from radspark.settings import SplitSettings

RULES = [
    "chexpert.uncertain=ones",
    "chexpert.uncertain_by_finding.Edema=zeros",
    "table.findings.Effusion=fluid",
    "table.id_parts=2",
    'table.positive=["j", "1"]',
]


def test_rules_go_to_their_data_set_as_toml_or_words() -> None:
    assert parse_label_rules(RULES, ["chexpert", "table"]) == {
        "chexpert": {"uncertain": "ones", "uncertain_by_finding": {"Edema": "zeros"}},
        "table": {"findings": {"Effusion": "fluid"}, "id_parts": 2, "positive": ["j", "1"]},
    }


def test_one_data_set_needs_no_name_before_its_rules() -> None:
    expected = {"mimic": {"labeler": "negbio"}}
    assert parse_label_rules(["labeler=negbio"], ["mimic"]) == expected
    assert parse_label_rules(["mimic.labeler=negbio"], ["mimic"]) == expected


def test_the_options_choose_the_same_data_again() -> None:
    split = SplitSettings("site", 0.2, test_sites=("A", "B"))
    chosen = choose_data(["chexpert", "table"], ["c", "t"], label_rules=RULES, findings="Effusion,Edema", split=split)
    words = chosen.words()

    def values(flag: str) -> list[str]:
        return [value for name, value in itertools.pairwise(words) if name == flag]

    again = choose_data(
        values("--dataset"),
        values("--data-dir"),
        label_rules=values("--label-rule"),
        findings=values("--findings")[0],
        split=SplitSettings("site", 0.2, test_sites=tuple(values("--test-site"))),
    )
    assert again == chosen


def test_a_prepared_set_stands_alone() -> None:
    assert choose_data(["prepared"], ["x/"]).sources == PreparedSet("x")
    with pytest.raises(ArgumentError, match="--dataset prepared must stand alone"):
        choose_data(["prepared", "nih"], ["x", "y"])


@pytest.mark.parametrize(
    ("datasets", "rules", "message"),
    [
        (["nhi"], [], "Did you mean 'nih'"),
        (["nih", "mimic"], [], "--data-dir must be given once for each --dataset (2), got 1"),
        (["mimic"], ["labeler"], "--label-rule must be RULE=VALUE, got 'labeler'"),
        (["mimic"], ["labler=negbio"], "Did you mean 'labeler'"),
        (["mimic"], ["nih.x=1"], "--label-rule must begin with mimic., got 'nih.x=1'"),
    ],
)
def test_what_is_wrong_is_told_before_spark_starts(datasets: list[str], rules: list[str], message: str) -> None:
    with pytest.raises(ArgumentError) as error:
        choose_data(datasets, ["d"], label_rules=rules)
    assert message in str(error.value)

"""Parts of the samples, and gaps that are there and that are not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radspark.labels import LabelSet
from radspark.metrics import Bootstrap, Scored, evaluate_scores
from radspark.metrics.subgroups import divide, evaluate_subgroups, subgroups_to_dict

LABELS = LabelSet(("Effusion", "Mass"))
BOOTSTRAP = Bootstrap(resamples=200)


def cohort(gap: float, *, size: int = 800, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels, scores that are worse for women by a share, patients, sexes."""
    generator = np.random.default_rng(seed)
    patients = generator.integers(0, size // 2, size)
    sexes = np.where(patients % 2, "F", "M")
    labels = (generator.random((size, 2)) < 0.3).astype(float)
    signal = np.where(sexes == "F", 0.3 - gap, 0.3)[:, None]
    return labels, np.clip(signal * labels + 0.7 * generator.random(labels.shape), 0, 1), patients, sexes


def subgroups(gap: float, **more: int) -> list:
    labels, scores, patients, sexes = cohort(gap, **more)
    return evaluate_subgroups(
        Scored.of(labels, scores, LABELS, patients=patients), {"sex": list(sexes)}, bootstrap=BOOTSTRAP
    )


def test_a_parts_figures_are_those_of_its_samples_alone() -> None:
    labels, scores, _, sexes = cohort(0.2)
    women = subgroups(0.2)[0]
    alone = evaluate_scores(labels[sexes == "F"], scores[sexes == "F"], LABELS)
    assert (women.column, women.value) == ("sex", "F")
    assert {name: finding.values for name, finding in women.evaluation.findings.items()} == {
        name: finding.values for name, finding in alone.findings.items()
    }
    interval = women.evaluation.mean_intervals["auroc"]
    assert interval.low < women.evaluation.mean_auroc < interval.high


def test_a_real_gap_is_found_in_both_directions() -> None:
    women, men = subgroups(0.2)
    assert women.gaps["mean"].interval.high < 0 < men.gaps["mean"].interval.low
    assert women.gaps["mean"].difference == pytest.approx(-men.gaps["mean"].difference)
    assert women.gaps["mean"].difference == pytest.approx(np.mean([women.gaps[name].difference for name in LABELS]))
    assert women.gaps["mean"].adjusted_p_value < 0.001


def test_two_parts_that_make_the_whole_are_one_test() -> None:
    women, men = subgroups(0.1)
    assert (women.is_mirror, men.is_mirror) == (False, True)
    for name, gap in women.gaps.items():
        assert gap.adjusted_p_value == men.gaps[name].adjusted_p_value <= 3 * gap.p_value


def test_without_a_gap_few_alarms_are_raised() -> None:
    alarms = [gap.adjusted_p_value < 0.05 for seed in range(40) for gap in subgroups(0.0, seed=seed)[0].gaps.values()]
    assert np.mean(alarms) < 0.06


def test_findings_of_few_patients_are_marked_and_not_compared() -> None:
    labels, scores, patients, sexes = cohort(0.2)
    labels[:, 1] *= sexes == "M"
    labels[np.flatnonzero(sexes == "F")[:9], 1] = 1
    women, men = evaluate_subgroups(
        Scored.of(labels, scores, LABELS, patients=patients), {"sex": list(sexes)}, bootstrap=BOOTSTRAP
    )
    assert (women.few, men.few) == ({"Mass"}, frozenset())
    assert set(women.gaps) == set(men.gaps) == {"mean", "Effusion"}
    assert women.gaps["mean"].inside == women.gaps["Effusion"].inside == women.evaluation.findings["Effusion"].auroc
    assert women.gaps["mean"].outside == pytest.approx(men.gaps["Effusion"].inside)
    interval, expected = (
        women.gaps["Effusion"].inside_interval,
        women.evaluation.findings["Effusion"].intervals["auroc"],
    )
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
    assert women.evaluation.findings["Mass"].auroc is not None
    assert women.not_compared == {"Mass": "fewer than 10 patients of the part with a positive, or with a negative"}
    assert men.not_compared == {"Mass": "fewer than 10 patients of all others with a positive, or with a negative"}


def test_what_is_not_compared_stands_in_the_order_of_the_findings() -> None:
    names = LabelSet(tuple("ZYXWVUTS"))
    labels, scores = np.zeros((30, 8)), np.zeros((30, 8))
    women, _ = evaluate_subgroups(Scored.of(labels, scores, names), {"sex": ["F", "M"] * 15}, bootstrap=BOOTSTRAP)
    assert list(women.not_compared) == [*names, "mean"]


def test_unknown_values_are_in_no_part() -> None:
    parts = dict(divide("view", ["PA", None, "AP", "PA"]))
    assert {name: mask.tolist() for name, mask in parts.items()} == {
        "AP": [False, False, True, False],
        "PA": [True, False, False, True],
    }


def test_ages_make_bands_in_order() -> None:
    ages = [90.0, 0.5, 17.9, 18.0, 59.0, None, float("nan"), 80.0, 60.0]
    parts = {name: int(mask.sum()) for name, mask in divide("age", ages)}
    assert list(parts.items()) == [
        ("0 to 17", 2),
        ("18 to 39", 1),
        ("40 to 59", 1),
        ("60 to 79", 1),
        ("80 or older", 2),
    ]


def test_a_column_of_one_value_makes_no_part() -> None:
    assert list(divide("view", ["PA", "PA", None])) == []


def test_a_column_of_many_values_is_refused() -> None:
    with pytest.raises(ValueError, match="column 'study_id' has 13 values; a column of subgroups has up to 12"):
        list(divide("study_id", list(range(13))))


def test_parts_are_written_as_plain_values() -> None:
    written = json.loads(json.dumps(subgroups_to_dict(subgroups(0.2)), allow_nan=False))
    women = written["groups"][0]
    assert (written["num_gaps"], women["value"], women["few_patients"]) == (3, "F", [])
    low, high = women["auroc_gaps"]["Mass"]["difference_ci"]
    assert low < women["auroc_gaps"]["Mass"]["difference"] < high
    assert women["findings"]["Mass"]["auroc_ci"]

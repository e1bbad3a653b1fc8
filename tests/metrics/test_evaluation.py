"""The evaluation of all findings together against scikit-learn, and the form of `metrics.json`."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from radspark.errors import DataError
from radspark.labels import LabelSet
from radspark.metrics import MEASURES, METRICS, Bootstrap, evaluate_scores, metric_value

LABELS = LabelSet(("Effusion", "Mass", "Hernia"))
PROBABILITIES = st.floats(0, 1, width=32)


def test_findings_are_those_of_scikit_learn_one_by_one() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((200, 3)) < 0.3).astype(np.float32)
    scores = generator.random((200, 3)).round(1)
    evaluation = evaluate_scores(labels, scores, LABELS)
    for column, name in enumerate(LABELS):
        finding = evaluation.findings[name]
        assert finding.auroc == pytest.approx(
            sklearn_metrics.roc_auc_score(labels[:, column], scores[:, column]), abs=1e-9
        )
        assert finding.positives == labels[:, column].sum()
    expected = sklearn_metrics.average_precision_score(labels, scores, average="macro")
    assert evaluation.mean_average_precision == pytest.approx(expected, abs=1e-9)


@given(
    hnp.arrays(np.float32, 40, elements=st.sampled_from([0.0, 1.0, math.nan])),
    hnp.arrays(np.float32, 40, elements=PROBABILITIES),
)
def test_loss_is_that_of_scikit_learn_over_known_labels(labels: np.ndarray, scores: np.ndarray) -> None:
    labels[0] = 1.0
    known = ~np.isnan(labels)
    expected = sklearn_metrics.log_loss(labels[known], scores[known].astype(np.float64), labels=[0, 1])
    loss = evaluate_scores(labels.reshape(20, 2), scores.reshape(20, 2).astype(np.float64), LabelSet(("A", "B"))).loss
    assert loss == pytest.approx(expected, abs=1e-9)


def test_loss_of_a_certain_mistake_is_finite() -> None:
    loss = evaluate_scores([[1.0]], np.zeros((1, 1), np.float32), LabelSet(("Mass",))).loss
    assert loss == pytest.approx(-math.log(np.finfo(np.float32).eps))


def test_means_are_over_defined_findings_only() -> None:
    labels = [[1, 0, 0], [0, math.nan, 0], [0, 1, 0]]
    scores = [[0.9, 0.2, 0.5], [0.3, 0.5, 0.5], [0.4, 0.1, 0.5]]
    evaluation = evaluate_scores(labels, scores, LABELS)
    assert [finding.auroc for finding in evaluation.findings.values()] == [1.0, 0.0, None]
    assert evaluation.mean_auroc == 0.5
    assert evaluation.findings["Hernia"].reason == "no positive"
    assert evaluation.findings["Mass"].unknown == 1


def test_weighted_means_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((200, 3)) < (0.1, 0.3, 0.6)).astype(np.float32)
    scores = generator.random((200, 3)).round(1)
    evaluation = evaluate_scores(labels, scores, LABELS)
    expected = sklearn_metrics.roc_auc_score(labels, scores, average="weighted")
    assert evaluation.weighted_means["auroc"] == pytest.approx(expected, abs=1e-9)


def test_metrics_json_has_exactly_its_format() -> None:
    evaluation = evaluate_scores(
        [[1, 0, 0], [0, 1, math.nan]], [[0.9, 0.2, 0.5], [0.3, 0.5, 0.5]], LABELS, thresholds={"Mass": 0.1}
    )
    written = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    findings = written.pop("findings")
    assert list(findings) == list(LABELS)
    means = {f"{prefix}_{name}" for prefix in ("mean", "weighted_mean") for name in MEASURES}
    assert set(written) == {"format_version", "loss", "num_samples", "num_patients", "method", "undefined", *means}
    assert (written["format_version"], written["mean_auroc"], written["num_samples"]) == (2, 1.0, 2)
    assert (written["num_patients"], written["method"]) == (None, None)
    counts = {"threshold", "positives", "negatives", "unknown", "reason", "undefined"}
    assert all(set(finding) == {*MEASURES, *counts} for finding in findings.values())
    mass, hernia = findings["Mass"], findings["Hernia"]
    assert (mass["auroc"], mass["specificity"], mass["threshold"], mass["reason"]) == (1.0, 0.0, 0.1, None)
    assert mass["undefined"] == {"npv": "nothing is below the threshold"}
    assert (hernia["auroc"], hernia["reason"], hernia["positives"], hernia["unknown"]) == (None, "no positive", 0, 1)


def test_intervals_stand_beside_their_figures_in_metrics_json() -> None:
    generator = np.random.default_rng(0)
    labels = (generator.random((80, 3)) < 0.4).astype(np.float32)
    labels[:, 2] = 0
    patients = generator.integers(0, 30, 80)
    evaluation = evaluate_scores(
        labels, generator.random((80, 3)), LABELS, patients=patients, bootstrap=Bootstrap(resamples=100, seed=3)
    )
    written = json.loads(json.dumps(evaluation.to_dict(), allow_nan=False))
    for figures, names in ((written, [f"mean_{name}" for name in MEASURES]), (written["findings"]["Mass"], MEASURES)):
        for name in names:
            low, high = figures[f"{name}_ci"]
            assert low < figures[name] < high, name
    assert written["findings"]["Hernia"]["auroc_ci"] is None
    assert written["num_patients"] == len(np.unique(patients))
    assert written["method"] == "BCa bootstrap over patients, 100 resamples, seed 3, 0.95 level"


def test_a_figure_that_no_resample_moves_has_no_interval_and_says_why() -> None:
    labels, scores = np.tile([[1.0], [0.0]], (20, 1)), np.full((40, 1), 0.3)
    finding = evaluate_scores(labels, scores, LabelSet(("Mass",)), bootstrap=Bootstrap(resamples=100)).findings["Mass"]
    assert (finding.values["sensitivity"], finding.values["specificity"]) == (0.0, 1.0)
    assert finding.undefined["sensitivity_ci"] == (
        "all or nearly all resamples give the same value, which tells nothing of chance"
    )
    assert not {"sensitivity", "specificity", "auroc"} & finding.intervals.keys()
    assert finding.intervals["brier"].low < finding.values["brier"] < finding.intervals["brier"].high


def find_nulls(figures: dict) -> set[str]:
    """Names that are null; `reason` and `method` are words."""
    return {name for name, value in figures.items() if value is None} - {"reason", "method", "num_patients"}


@pytest.mark.parametrize("bootstrap", [None, Bootstrap(resamples=100)], ids=["figures", "intervals"])
@pytest.mark.parametrize(
    "labels",
    [[1, 0] * 10, [0] * 20, [1] * 20, [math.nan] * 20, [1] + [0] * 19],
    ids=["both", "negative", "positive", "unknown", "one positive"],
)
def test_every_null_has_its_reason(labels: list[float], bootstrap: Bootstrap | None) -> None:
    columns = np.stack([labels, [math.nan] * 20, [0.0] * 20], axis=1)
    scores = np.linspace(0, 0.4, 60).reshape(20, 3)
    written = evaluate_scores(columns, scores, LABELS, bootstrap=bootstrap).to_dict()
    for figures in (written, *written["findings"].values()):
        assert find_nulls(figures) == figures["undefined"].keys()
        assert all(figures["undefined"].values())


@pytest.mark.parametrize("bootstrap", [None, Bootstrap(resamples=100)], ids=["figures", "intervals"])
def test_a_finding_without_a_chosen_threshold_is_not_called_at_another(bootstrap: Bootstrap | None) -> None:
    generator = np.random.default_rng(0)
    labels, scores = (generator.random((80, 2)) < 0.4).astype(float), generator.random((80, 2))
    labels[::9] = math.nan
    names = LabelSet(("Mass", "Hernia"))
    thresholds = {"Mass": 0.5, "Hernia": None}
    evaluation = evaluate_scores(labels, scores, names, thresholds=thresholds, bootstrap=bootstrap)
    hernia, mass = evaluation.findings["Hernia"], evaluation.findings["Mass"]
    lacking = {name for name, value in hernia.values.items() if value is None}
    assert lacking == {"sensitivity", "specificity", "ppv", "npv", "f1", "youden"}
    assert hernia.threshold is None
    assert {hernia.undefined[name] for name in (*lacking, "threshold")} == {"no threshold was chosen for the finding"}
    assert evaluation.means["f1"] == mass.values["f1"] is not None
    assert bootstrap is None or {"auroc", "brier"} <= hernia.intervals.keys()
    assert bootstrap is None or evaluation.mean_intervals["ppv"] == mass.intervals["ppv"]


@pytest.mark.parametrize("patients", [[1], [1, 2, 3]])
def test_patients_must_be_one_per_sample(patients: list[int]) -> None:
    with pytest.raises(ValueError, match=r"patients must be one per sample \(2\)"):
        evaluate_scores([[1.0], [0.0]], [[0.5], [0.6]], LabelSet(("Mass",)), patients=patients)


@pytest.mark.parametrize("patients", [["a", None], [None, None], np.array([1.0, math.nan])], ids=repr)
def test_samples_without_a_patient_are_refused(patients: list) -> None:
    with pytest.raises(ValueError, match=r"patients must name the patient of every sample, but \d have none"):
        evaluate_scores([[1.0], [0.0]], [[0.5], [0.6]], LabelSet(("Mass",)), patients=patients)


def test_a_threshold_for_another_finding_is_refused() -> None:
    with pytest.raises(ValueError, match="got one for 'Nodule'"):
        evaluate_scores([[1.0]], [[0.5]], LabelSet(("Mass",)), thresholds={"Nodule": 0.5})


def test_every_metric_is_found_by_its_name() -> None:
    evaluation = evaluate_scores([[1, 0, 1], [0, 1, 0]], [[0.9, 0.2, 0.5], [0.3, 0.5, 0.7]], LABELS)
    values = {name: metric_value(evaluation, name) for name in METRICS}
    assert values == {
        "mean_auroc": evaluation.mean_auroc,
        "mean_average_precision": evaluation.mean_average_precision,
        "loss": evaluation.loss,
    }
    assert {name: metric.larger_is_better for name, metric in METRICS.items()} == {
        "mean_auroc": True,
        "mean_average_precision": True,
        "loss": False,
    }


def test_an_unknown_metric_name_lists_those_there_are() -> None:
    evaluation = evaluate_scores([[1.0]], [[0.5]], LabelSet(("Mass",)))
    with pytest.raises(ValueError, match="metric must be one of mean_auroc, mean_average_precision, loss, got 'auc'"):
        metric_value(evaluation, "auc")


def test_an_undefined_metric_says_why_and_what_to_do() -> None:
    evaluation = evaluate_scores([[1.0], [1.0]], [[0.5], [0.6]], LabelSet(("Mass",)))
    with pytest.raises(DataError, match=r"mean_auroc is undefined on these 2 samples: no finding has both"):
        metric_value(evaluation, "mean_auroc")


def test_an_undefined_loss_is_none_without_a_known_label() -> None:
    assert evaluate_scores([[math.nan]], [[0.5]], LabelSet(("Mass",))).loss is None


@pytest.mark.parametrize(("scores", "shown"), [([0.5, 3.0], "0.5 to 3"), ([-2.0, 0.5], "-2 to 0.5")])
def test_logits_in_place_of_probabilities_are_refused(scores: list[float], shown: str) -> None:
    with pytest.raises(ValueError, match=f"probabilities between 0 and 1, got {shown}; apply a sigmoid"):
        evaluate_scores([[1.0, 0.0]], [scores], LabelSet(("Mass", "Nodule")))


def test_columns_that_are_not_the_label_sets_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one column per finding \(3\), got 2"):
        evaluate_scores([[1.0, 0.0]], [[0.1, 0.9]], LABELS)

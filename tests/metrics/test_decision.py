"""Calibration and thresholds together."""

from __future__ import annotations

import json

import numpy as np
import pytest

from radspark.labels import LabelSet
from radspark.metrics import evaluate_scores
from radspark.metrics.decision import Decision, fit_decision

LABELS = LabelSet(("Mass", "Hernia"))


def validation() -> tuple[np.ndarray, np.ndarray]:
    """No Hernia among them."""
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 2)) < (0.3, 0.0)).astype(np.float32)
    return labels, np.clip(0.3 * labels + 0.7 * generator.random((400, 2)), 0, 1).astype(np.float32)


@pytest.mark.parametrize("calibration", ["none", "platt", "isotonic", "temperature"])
def test_thresholds_reach_their_targets_on_calibrated_probabilities(calibration: str) -> None:
    labels, scores = validation()
    decision = fit_decision(labels, scores, LABELS, calibration=calibration, sensitivity=0.95, specificity=0.8)
    probabilities = decision.calibrate(scores, LABELS)
    for point, target in (("sensitivity", 0.95), ("specificity", 0.8)):
        evaluation = evaluate_scores(labels, probabilities, LABELS, thresholds=decision.thresholds_at(point))
        assert evaluation.findings["Mass"].values[point] >= target
    assert set(decision.thresholds) == {"youden", "sensitivity", "specificity"}


def test_it_comes_back_from_json() -> None:
    decision = fit_decision(*validation(), LABELS, calibration="platt")
    assert Decision.from_dict(json.loads(json.dumps(decision.to_dict(), allow_nan=False))) == decision


def test_a_finding_that_lacks_a_class_has_no_threshold() -> None:
    decision = fit_decision(*validation(), LABELS)
    assert [list(values) for values in decision.thresholds.values()] == [["Mass"]] * 3


def test_without_calibration_scores_stay_as_they_are() -> None:
    labels, scores = validation()
    assert fit_decision(labels, scores, LABELS).calibrate(scores, LABELS) is scores


def test_a_finding_whose_validation_lacked_a_class_has_no_threshold() -> None:
    decision = Decision(thresholds={"youden": {"Mass": 0.3}})
    assert decision.thresholds_of(LabelSet(("Hernia", "Mass")), "youden") == {"Hernia": None, "Mass": 0.3}


def test_an_operating_point_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(ValueError, match=r"one of the bundle's \(youden, sensitivity, specificity\), got 'f1'"):
        fit_decision(*validation(), LABELS).thresholds_at("f1")

"""`radspark calibrate`: another decision in the same bundle, from validation radiographs alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from radspark.bundle import Bundle, load_bundle, save_bundle
from radspark.cli.predict import call_present
from radspark.cli.scored_table import ScoredTable
from radspark.labels import LabelSet
from radspark.metrics.decision import Decision
from radspark.metrics.thresholds import choose_thresholds
from radspark.settings import ModelSettings, PreparationSettings

if TYPE_CHECKING:
    from command_line import Radspark

LABELS = LabelSet(("Effusion", "Mass"))
generator = np.random.default_rng(0)
TRUTH = (generator.random((80, 2)) < 0.4).astype(np.float32)
SCORES = np.clip(0.3 * TRUTH + 0.6 * generator.random((80, 2)), 0, 1).astype(np.float32)


@pytest.fixture
def words(tmp_path: Path) -> list[Any]:
    """A command whose bundle and run stand in `bundle` and `run`."""
    weights = {"head.weight": np.zeros((2, 3), np.float32)}
    save_bundle(Bundle(ModelSettings(), PreparationSettings(), LABELS, weights), tmp_path / "bundle")
    write_run(tmp_path / "run")
    return ["calibrate", "--bundle", tmp_path / "bundle", "--run", tmp_path / "run", "--out", tmp_path / "new"]


def write_run(
    folder: Path,
    *,
    split: str | None = "validation",
    labels: LabelSet = LABELS,
    metrics: dict[str, Any] | None = None,
    truth: NDArray[np.float32] = TRUTH,
    **more: Any,
) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps({"split": split, "findings": {}, **(metrics or {})}))
    ids = [f"{number:03d}" for number in range(len(TRUTH))]
    ScoredTable(labels, ids, ids, truth, SCORES, **more).write(folder / "predictions.parquet")


def test_the_new_bundle_decides_by_the_validation_radiographs(
    words: list[Any], tmp_path: Path, radspark: Radspark
) -> None:
    outcome = radspark(*words, "--sensitivity", 0.8)
    assert outcome.code == 0, outcome.err
    assert "chosen on 80 radiographs" in outcome.out
    new = load_bundle(tmp_path / "new")
    assert new.decision is not None
    decision = Decision.from_dict(new.decision)
    assert decision.calibration is None
    expected = choose_thresholds(TRUTH, SCORES, LABELS, rule="sensitivity", target=0.8)
    assert decision.thresholds_at("sensitivity") == pytest.approx(expected)
    np.testing.assert_array_equal(new.weights["head.weight"], load_bundle(tmp_path / "bundle").weights["head.weight"])


def test_a_calibrated_bundle_is_calibrated_anew_from_the_networks_own_scores(
    words: list[Any], tmp_path: Path, radspark: Radspark
) -> None:
    write_run(tmp_path / "run", scores_NC=SCORES / 2)
    assert radspark(*words, "--calibration", "platt").code == 0
    new = load_bundle(tmp_path / "new").decision
    write_run(tmp_path / "run")
    assert radspark(*words[:-1], tmp_path / "other", "--calibration", "platt").code == 0
    other = load_bundle(tmp_path / "other").decision
    assert new is not None and other is not None and new["calibration"] != other["calibration"]


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"split": "test"}, "is of the test split, and thresholds are chosen on validation"),
        ({"split": None}, "is of given predictions, and thresholds"),
        ({"metrics": {"weights_sha256": "0" * 64}}, "was evaluated with another network than that of"),
        (
            {"metrics": {"combined": "mean"}},
            "has the views of a study together, and a bundle scores single radiographs",
        ),
        ({"labels": LabelSet(("Edema", "Mass"))}, "was evaluated for Edema, Mass, and the bundle gives Effusion, Mass"),
    ],
)
def test_what_is_no_validation_of_this_bundle_is_refused(
    words: list[Any], tmp_path: Path, radspark: Radspark, run: dict[str, Any], said: str
) -> None:
    write_run(tmp_path / "run", **run)
    assert said in radspark(*words).sentence


def test_findings_that_few_radiographs_have_are_warned_of(words: list[Any], tmp_path: Path, radspark: Radspark) -> None:
    truth = TRUTH.copy()
    truth[np.flatnonzero(truth[:, 1])[9:], 1] = np.nan
    write_run(tmp_path / "run", truth=truth)
    outcome = radspark(*words)
    assert outcome.code == 0
    assert outcome.err == (
        "warning: fewer than 10 validation radiographs have, or lack, Mass: what is chosen for them rests on few\n"
    )


def test_a_run_of_the_bundle_itself_will_do(words: list[Any], tmp_path: Path, radspark: Radspark) -> None:
    config = json.loads((tmp_path / "bundle" / "config.json").read_text())
    write_run(tmp_path / "run", metrics={"weights_sha256": config["weights"]["sha256"], "combined": None})
    assert radspark(*words).code == 0


def test_nothing_is_written_over(words: list[Any], tmp_path: Path, radspark: Radspark) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine").write_text("")
    assert "must be a new or an empty folder" in radspark(*words).sentence
    assert "holds no metrics.json" in radspark(*words[:4], tmp_path, *words[5:]).sentence


def test_a_finding_is_called_present_at_its_threshold_and_above() -> None:
    thresholds = {"Effusion": 0.3}
    line = {"Effusion": 0.3, "Mass": 0.9}
    assert call_present(line, LABELS, thresholds) == {"Effusion_present": True, "Mass_present": None}
    assert call_present({**line, "Effusion": 0.29}, LABELS, thresholds)["Effusion_present"] is False
    assert call_present({"Effusion": None, "Mass": None}, LABELS, thresholds)["Effusion_present"] is None

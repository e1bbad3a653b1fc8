"""`radspark compare`: what it writes, and runs that do not go together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from radspark.cli.compare import short_names
from radspark.cli.scored_table import ScoredTable
from radspark.labels import LabelSet

if TYPE_CHECKING:
    from command_line import Outcome, Radspark


def table(share: float, **changes: Any) -> ScoredTable:
    """90 images of 30 patients; the larger the share, the better the scores."""
    generator = np.random.default_rng(0)
    labels = (generator.random((90, 2)) < 0.4).astype(float)
    values: dict[str, Any] = {
        "labels": LabelSet(("Mass", "Edema")),
        "image_ids": [f"i{image:02d}" for image in range(90)],
        "patients": [f"p{image // 3}" for image in range(90)],
        "labels_NC": labels,
        "probabilities_NC": share * labels + (1 - share) * generator.random((90, 2)),
    }
    return ScoredTable(**{**values, **changes})


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    for name, share, threshold in (("first", 0.2, 0.4), ("second", 0.4, 0.6)):
        (tmp_path / name / "test").mkdir(parents=True)
        table(share).write(tmp_path / name / "test" / "predictions.parquet")
        metrics = {"findings": {finding: {"threshold": threshold} for finding in ("Mass", "Edema")}}
        (tmp_path / name / "test" / "metrics.json").write_text(json.dumps(metrics))
    return tmp_path / "first", tmp_path / "second"


def compare(radspark: Radspark, runs: tuple[Path, Path], out: Path, *more: object) -> Outcome:
    return radspark("compare", *runs, "--out", out, "--bootstrap", 200, *more)


def test_differences_are_those_of_the_second_less_the_first(
    runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark
) -> None:
    outcome = compare(radspark, runs, tmp_path / "out")
    assert outcome.code == 0, outcome.err
    written = json.loads((tmp_path / "out" / "compare.json").read_text())
    first, second = (ScoredTable.read(run / "test" / "predictions.parquet") for run in runs)
    aurocs = [roc_auc_score(side.labels_NC[:, 0], side.probabilities_NC[:, 0]) for side in (first, second)]
    mass = written["findings"]["Mass"]["auroc"]
    assert (mass["first"], mass["second"]) == pytest.approx(tuple(aurocs))
    assert mass["difference_ci"][0] < aurocs[1] - aurocs[0] < mass["difference_ci"][1]
    assert (written["num_samples"], written["num_patients"], written["format_version"]) == (90, 30, 2)
    assert "second less first, 90 radiographs of 30 patients" in outcome.out
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "second against first" in page and "p12" not in page and "i12" not in page


def test_each_run_is_called_at_the_thresholds_that_it_was_evaluated_at(
    runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark
) -> None:
    compare(radspark, runs, tmp_path / "out")
    mass = json.loads((tmp_path / "out" / "compare.json").read_text())["findings"]["Mass"]
    first, second = (ScoredTable.read(run / "test" / "predictions.parquet") for run in runs)
    expected = [
        recall_score(side.labels_NC[:, 0], side.probabilities_NC[:, 0] >= threshold)
        for side, threshold in ((first, 0.4), (second, 0.6))
    ]
    assert [mass["sensitivity"]["first"], mass["sensitivity"]["second"]] == pytest.approx(expected)
    assert mass["thresholds"] == [0.4, 0.6]


def test_patients_of_either_run_will_do_and_none_are_warned_of(
    runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark
) -> None:
    table(0.2, patients=None).write(runs[0] / "test" / "predictions.parquet")
    assert "of 30 patients" in compare(radspark, runs, tmp_path / "out").out
    table(0.4, patients=None).write(runs[1] / "test" / "predictions.parquet")
    said = compare(radspark, runs, tmp_path / "out").err
    assert said == "warning: neither run names its patients: every radiograph counts as a patient's only one\n"


@pytest.mark.parametrize("content", ["{}", "[1]", '{"findings": {"Mass": {}}}'])
def test_a_run_without_thresholds_is_refused(
    runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark, content: str
) -> None:
    (runs[1] / "test" / "metrics.json").write_text(content)
    assert "metrics.json" in compare(radspark, runs, tmp_path / "out").sentence


def test_radiographs_of_one_run_alone_are_left_out(runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    table(0.4).take(np.arange(89, 29, -1)).write(runs[1] / "test" / "predictions.parquet")
    outcome = compare(radspark, runs, tmp_path / "out")
    assert outcome.err == "warning: 30 radiographs were scored by one of the two only and are left out\n"
    assert json.loads((tmp_path / "out" / "compare.json").read_text())["num_samples"] == 60


def test_findings_of_one_run_alone_are_left_out(runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    table(0.4, labels=LabelSet(("Edema", "Mass")), labels_NC=table(0.4).labels_NC[:, ::-1]).write(
        runs[1] / "test" / "predictions.parquet"
    )
    compare(radspark, runs, tmp_path / "out")
    assert list(json.loads((tmp_path / "out" / "compare.json").read_text())["findings"]) == ["Mass", "Edema"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"image_ids": [f"x{image}" for image in range(90)]}, "have no radiograph in common"),
        ({"labels": LabelSet(("Hernia", "Nodule"))}, "have no finding in common"),
        ({"labels_NC": np.zeros((90, 2))}, "radiographs different labels; use one label table"),
    ],
)
def test_runs_that_do_not_go_together_are_refused(
    runs: tuple[Path, Path], tmp_path: Path, radspark: Radspark, changes: dict[str, Any], said: str
) -> None:
    table(0.4, **changes).write(runs[1] / "test" / "predictions.parquet")
    assert said in compare(radspark, runs, tmp_path / "out").sentence


def test_a_run_that_was_not_evaluated_is_told_how(tmp_path: Path, radspark: Radspark, runs: tuple[Path, Path]) -> None:
    said = compare(radspark, (runs[0], tmp_path / "none"), tmp_path / "out").sentence
    assert "predictions.parquet is missing; `radspark evaluate --out" in said


@pytest.mark.parametrize(
    ("runs_of", "names"),
    [
        (("runs/a/test", "runs/b/test"), ("a", "b")),
        (("x/one", "y/two"), ("one", "two")),
        (("x/one", "x/one"), ("A", "B")),
    ],
)
def test_runs_are_called_by_what_tells_their_folders_apart(runs_of: tuple[str, str], names: tuple[str, str]) -> None:
    assert short_names(*map(Path, runs_of)) == names

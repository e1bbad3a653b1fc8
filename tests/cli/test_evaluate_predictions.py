"""`radspark evaluate --predictions`: its files, on small tables and on a published model's predictions."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import recall_score, roc_auc_score

from radspark.cli.scored_table import ScoredTable
from radspark.metrics import MEASURES

if TYPE_CHECKING:
    from command_line import Outcome, Radspark


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """120 images of 40 patients, and 10 labels without a prediction."""
    generator = np.random.default_rng(0)
    with (tmp_path / "labels.csv").open("w") as labels, (tmp_path / "scores.csv").open("w") as scores:
        label_rows, score_rows = csv.writer(labels), csv.writer(scores)
        label_rows.writerow(["image_id", "patient_id", "sex", "Mass", "Edema"])
        score_rows.writerow(["image_id", "prob_Mass", "prob_Edema"])
        for image in range(130):
            present = generator.random(2) < 0.4
            label_rows.writerow([f"i{image:03d}", image // 3, "FM"[image // 3 % 2], *present.astype(int)])
            if image < 120:
                score_rows.writerow([f"i{image:03d}.png", *(0.3 * present + 0.7 * generator.random(2)).round(3)])
    return tmp_path / "scores.csv", tmp_path / "labels.csv"


def evaluate(radspark: Radspark, tables: tuple[Path, Path], out: Path, *more: object) -> Outcome:
    return radspark(
        "evaluate", "--predictions", tables[0], "--labels", tables[1], "--out", out, "--prefix", "prob_", *more
    )


def test_figures_stand_beside_their_intervals(tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    outcome = evaluate(radspark, tables, tmp_path / "out", "--bootstrap", 200, "--seed", 4)
    assert outcome.code == 0, outcome.err
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    table = ScoredTable.read(tmp_path / "out" / "predictions.parquet")
    for column, (name, finding) in enumerate(metrics["findings"].items()):
        low, high = finding["auroc_ci"]
        expected = roc_auc_score(table.labels_NC[:, column], table.probabilities_NC[:, column])
        assert finding["auroc"] == pytest.approx(expected, abs=1e-12)
        assert low < finding["auroc"] < high
        assert all(len(finding[f"{measure}_ci"]) == 2 for measure in MEASURES), name
    assert metrics["mean_auroc_ci"][0] < metrics["mean_auroc"] < metrics["mean_auroc_ci"][1]
    assert metrics["method"] == "BCa bootstrap over patients, 200 resamples, seed 4, 0.95 level"
    assert (metrics["num_samples"], metrics["num_patients"], metrics["without_prediction"]) == (120, 40, 10)
    assert (metrics["group_column"], metrics["unreadable"], metrics["split"]) == ("patient_id", 0, None)
    assert [group["value"] for group in metrics["subgroups"]["groups"]] == ["F", "M"]
    assert "10 rows of the labels have no prediction and are ignored" in outcome.out
    assert "</html>" in (tmp_path / "out" / "report.html").read_text()


def test_findings_are_called_at_given_thresholds(tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    (tmp_path / "chosen.csv").write_text("finding,threshold\nprob_edema,0.35\nHernia,0.1\n")
    outcome = evaluate(radspark, tables, tmp_path / "out", "--bootstrap", 0, "--thresholds", tmp_path / "chosen.csv")
    assert outcome.code == 0, outcome.err
    assert "1 findings of" in outcome.err and "are not evaluated: hernia" in outcome.err
    mass, edema = json.loads((tmp_path / "out" / "metrics.json").read_text())["findings"].values()
    table = ScoredTable.read(tmp_path / "out" / "predictions.parquet")
    assert edema["threshold"] == 0.35
    assert edema["sensitivity"] == recall_score(table.labels_NC[:, 1], table.probabilities_NC[:, 1] >= 0.35)
    assert (mass["threshold"], mass["sensitivity"]) == (None, None)
    report = (tmp_path / "out" / "report.html").read_text()
    assert "Thresholds were given, as chosen on other radiographs." in report
    assert "or a threshold that was not given" in report


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("name,threshold\nMass,0.3\n", "thresholds need finding and threshold"),
        ("finding,threshold\nMass,1.5\n", "has the threshold 1.5; a threshold of probabilities is from 0 to 1"),
        ("finding,threshold\nMass,\nEdema,0.1\n", "has the threshold nan"),
        ("finding,threshold\nMass,high\n", "'high' in its column 'threshold', which is no number"),
        ("finding,threshold\nMass,0.1\nMass,0.2\n", "names a finding twice"),
        ("finding,threshold\nMass,0.1\nprob_mass,0.2\n", "names a finding twice"),
        ("finding,threshold\nHernia,0.1\n", "names none of the findings, which are Mass, Edema"),
    ],
)
def test_thresholds_that_cannot_be_used_are_refused(
    tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark, rows: str, said: str
) -> None:
    (tmp_path / "chosen.csv").write_text(rows)
    outcome = evaluate(radspark, tables, tmp_path / "out", "--thresholds", tmp_path / "chosen.csv")
    assert said in outcome.sentence


def test_a_run_repeats(tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    for out in ("first", "second"):
        evaluate(radspark, tables, tmp_path / out, "--bootstrap", 100)
    first, second = ((tmp_path / out / "metrics.json").read_bytes() for out in ("first", "second"))
    assert first == second


def test_no_resamples_give_no_intervals(tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    evaluate(radspark, tables, tmp_path / "out", "--bootstrap", 0)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["method"] is None
    assert not any(name.endswith("_ci") for name in metrics["findings"]["Mass"])


def test_groups_of_one_image_are_warned_of(tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    table = tables[1].read_text().replace("patient_id", "someone")
    tables[1].write_text(table)
    outcome = evaluate(radspark, tables, tmp_path / "out", "--bootstrap", 100, "--subgroup", "none")
    assert outcome.err == "warning: no column tells the patients apart: every image counts as a patient's only one\n"
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert "over images" in metrics["method"] and "subgroups" not in metrics


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--interval", "wald"), "--interval must be bca or percentile, got 'wald'"),
        (("--bootstrap", 50), "resamples must be at least 100"),
        (("--subgroup", "site"), "there is no column 'site' to make subgroups of; there are sex"),
        (("--bundle", "b"), "--bundle has no effect beside --predictions; leave one of them out"),
        (("--split-policy", "official"), "--split-policy has no effect beside --predictions"),
        (("--operating-point", "youden"), "--operating-point has no effect beside --predictions"),
        (("--combine-by", "max"), "--combine-by must come with --combine study"),
        (("--subgroup", "sex", "--bootstrap", 0), "--subgroup needs resamples to tell gaps from chance"),
        (("--seed", -1), "seed must be 0 or more, got -1"),
    ],
)
def test_choices_that_cannot_be_met_are_refused(
    tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark, more: tuple[object, ...], said: str
) -> None:
    assert said in evaluate(radspark, tables, tmp_path / "out", *more).sentence


def test_options_of_predictions_are_refused_beside_a_bundle(tmp_path: Path, radspark: Radspark) -> None:
    words = ["evaluate", "--bundle", "b", "--dataset", "nih", "--data-dir", "d", "--out", tmp_path]
    for more in (
        ("--labels", "l.csv"),
        ("--group-column", "patient"),
        ("--prefix", "prob_"),
        ("--thresholds", "t.csv"),
    ):
        assert radspark(*words, *more).sentence.startswith(f"error: {more[0]} has no effect beside --bundle")


def test_neither_a_bundle_nor_predictions_is_refused(tmp_path: Path, radspark: Radspark) -> None:
    said = radspark("evaluate", "--out", tmp_path).sentence
    assert said == "error: --bundle, --dataset and --data-dir must be given together, or --predictions and --labels."


def test_logits_are_refused(tables: tuple[Path, Path], tmp_path: Path, radspark: Radspark) -> None:
    tables[0].write_text("image_id,prob_Mass\ni000,-3.1\ni001,2\n")
    assert "apply a sigmoid to logits first" in evaluate(radspark, tables, tmp_path / "out").sentence


def test_neither_java_nor_torch_is_started(tables: tuple[Path, Path], tmp_path: Path) -> None:
    words = ["evaluate", "--predictions", tables[0], "--labels", tables[1], "--prefix", "prob_", "--out", tmp_path]
    code = (
        "import sys; from radspark.cli.main import run; from pyspark import SparkContext\n"
        f"try: run({[str(word) for word in (*words, '--bootstrap', 0)]!r})\n"
        "finally: print('torch' in sys.modules, SparkContext._gateway)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False None"


@pytest.mark.data
def test_the_published_aurocs_come_out_to_four_decimals(shared_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    golden = shared_data / "golden"
    files = golden / "pretrained_preds.csv.gz", shared_data / "nih-256" / "Data_Entry_2017_v2020.csv.gz"
    outcome = evaluate(radspark, files, tmp_path, "--bootstrap", 200, "--subgroup", "none")
    assert outcome.code == 0, outcome.err
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    with (golden / "pretrained_aucs.csv").open() as table:
        published = {row["label"]: float(row["auc"]) for row in csv.DictReader(table)}
    assert {name: round(finding["auroc"], 4) for name, finding in metrics["findings"].items()} == {
        name: round(value, 4) for name, value in published.items()
    }
    assert (metrics["num_samples"], metrics["without_prediction"]) == (22_433, 89_687)
    assert all(
        finding["auroc_ci"][0] < finding["auroc"] < finding["auroc_ci"][1] for finding in metrics["findings"].values()
    )

"""`radspark evaluate`: its files, and bundles that it refuses."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command_line import train_words
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from radspark.cli.split_choice import choose_split
from radspark.datasets.reading import Source
from radspark.errors import SplitError
from radspark.labels import NIH_FINDINGS
from radspark.samples.join import match_labels
from radspark.settings import DataSettings, SplitSettings

if TYPE_CHECKING:
    from command_line import Outcome, Radspark, Trained

pytestmark = pytest.mark.spark


def evaluate(radspark: Radspark, bundle: Path, data: Path, out: Path, *more: str) -> Outcome:
    return radspark("evaluate", "--bundle", bundle, "--dataset", "nih", "--data-dir", data, "--out", out, *more)


def test_metrics_and_predictions_agree(trained: Trained, nih_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    outcome = evaluate(radspark, trained.run / "bundle", nih_data, tmp_path)
    assert outcome.code == 0, outcome.err
    assert outcome.err == ""
    table = pq.read_table(tmp_path / "predictions.parquet")
    assert table.column_names == ["image_id", "patient_id", "labels", "probability", "age", "sex", "view"]
    assert table["image_id"].to_pylist() == sorted(table["image_id"].to_pylist())
    labels_NC, scores_NC = (np.array(table[name].to_pylist()) for name in ("labels", "probability"))
    assert labels_NC.shape == scores_NC.shape == (9, 14)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert list(metrics["findings"]) == list(NIH_FINDINGS)
    config = json.loads((trained.run / "bundle" / "config.json").read_text())
    assert metrics["weights_sha256"] == config["weights"]["sha256"]
    defined = []
    for i, (name, finding) in enumerate(metrics["findings"].items()):
        assert finding["positives"] + finding["negatives"] == 9, name
        if finding["positives"]:
            assert finding["auroc"] == pytest.approx(roc_auc_score(labels_NC[:, i], scores_NC[:, i])), name
            defined.append(finding["auroc"])
        else:
            assert finding["auroc"] is None and finding["reason"], name
    assert metrics["mean_auroc"] == pytest.approx(np.mean(defined))
    assert "Effusion" in outcome.out and f"metrics      {tmp_path / 'metrics.json'}" in outcome.out
    report = (tmp_path / "report.html").read_text()
    assert "</html>" in report and "Split by the policy official: validation share 0.3, seed 0." in report


def test_unreadable_images_are_counted_and_warned_of(trained: Trained, tmp_path: Path, radspark: Radspark) -> None:
    data = tmp_path / "data"
    shutil.copytree(trained.data, data)
    (data / "images" / "00000004_000.png").write_bytes(b"cut")
    outcome = evaluate(radspark, trained.run / "bundle", data, tmp_path / "out")
    assert outcome.err == "warning: 1 of 9 radiographs cannot be read and are left out\n"
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["unreadable"] == 1


def change_config(**values: Any) -> Callable[[Path], None]:
    def change(bundle: Path) -> None:
        config = json.loads((bundle / "config.json").read_text())
        (bundle / "config.json").write_text(json.dumps({**config, **values}))

    return change


def cut_weights(bundle: Path) -> None:
    data = (bundle / "model.safetensors").read_bytes()
    (bundle / "model.safetensors").write_bytes(data[:-1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (shutil.rmtree, "there is no bundle at"),
        (lambda bundle: (bundle / "config.json").unlink(), "has no config.json; a bundle holds"),
        (lambda bundle: (bundle / "model.safetensors").unlink(), "has no model.safetensors; a bundle holds"),
        (cut_weights, "the file was changed or cut: copy the bundle again."),
        (change_config(format_version=2), "is a bundle of format 2; this radspark reads up to 1"),
        (change_config(labels=[f"Sign_{i}" for i in range(14)]), "has none of the model's findings (Sign_0, Sign_1"),
        (change_config(user_module="a.Net"), "this bundle holds a network of its user's own (a.Net)"),
    ],
    ids=["missing", "no config", "no weights", "checksum", "newer", "other labels", "user's network"],
)
def test_a_bundle_that_cannot_be_used_is_refused(
    trained: Trained, tmp_path: Path, radspark: Radspark, damage: Callable[[Path], None], said: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(trained.run / "bundle", bundle)
    damage(bundle)
    assert said in evaluate(radspark, bundle, trained.data, tmp_path / "out").sentence


def test_an_unknown_split_gets_the_nearest(tmp_path: Path, radspark: Radspark) -> None:
    outcome = evaluate(radspark, tmp_path, tmp_path, tmp_path / "out", "--split", "tset")
    assert outcome.sentence == (
        "error: --split must be one of train, validation, test, got 'tset'. Did you mean 'test'?"
    )


def with_data(bundle: Path, into: Path, **data: Any) -> Path:
    """A copy of a bundle that says other things of its data."""
    shutil.copytree(bundle, into)
    config = json.loads((into / "config.json").read_text())
    config["data"] = {**config["data"], **data}
    (into / "config.json").write_text(json.dumps(config))
    return into


def test_a_written_split_is_tested_on_unless_it_holds_training_patients(
    trained: Trained, nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    placed = {
        row["image_id"]: row["split"]
        for row in match_labels(
            SparkSession.active(), Source("nih", nih_data), split=SplitSettings(validation_share=0.3)
        ).frame.collect()
    }
    data = {"split": {"policy": "file", "validation_share": 0.3}}
    bundle = with_data(trained.run / "bundle", tmp_path / "bundle", **data)
    for name, moved in (("kept", None), ("moved", "00000002_000")):
        lines = [f"{image},{'test' if image == moved else split}" for image, split in placed.items()]
        (tmp_path / f"{name}.csv").write_text("\n".join(("image_id,split", *lines)))
    assert "split_policy='file' needs split_file" in evaluate(radspark, bundle, nih_data, tmp_path / "out").sentence
    moved_file = ("--split-file", str(tmp_path / "moved.csv"), "--bootstrap", "0")
    assert (
        "the test split is not of the patients that training left aside"
        in evaluate(radspark, bundle, nih_data, tmp_path / "out", *moved_file).sentence
    )
    kept_file = ("--split-file", str(tmp_path / "kept.csv"), "--bootstrap", "0")
    outcome = evaluate(radspark, bundle, nih_data, tmp_path / "out", *kept_file)
    assert (outcome.code, outcome.err) == (0, "")


def test_a_bundle_without_fingerprints_is_tested_as_before(
    trained: Trained, nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    told = json.loads((trained.run / "bundle" / "config.json").read_text())["data"]["fingerprints"]["nih"]
    assert {split: value.split("-")[0] for split, value in told.items()}["test"] == "9"
    older = with_data(trained.run / "bundle", tmp_path / "bundle", fingerprints={})
    assert evaluate(radspark, older, nih_data, tmp_path / "out", "--bootstrap", "0").code == 0


TRAINED = DataSettings("nih", SplitSettings("patient", validation_share=0.3, seed=5))


@pytest.mark.parametrize(
    ("flags", "chosen"),
    [
        ({}, TRAINED.split),
        ({"seed": 5, "policy": "patient"}, TRAINED.split),
        ({"validation_share": 0.1}, SplitSettings("patient", validation_share=0.1, seed=5)),
    ],
)
def test_a_data_set_is_split_as_in_training(flags: dict[str, Any], chosen: SplitSettings) -> None:
    assert choose_split(TRAINED, "nih", split="test", flags={"seed": None, **flags}) == chosen


def test_a_bundle_that_does_not_say_how_and_another_data_set_take_the_flags() -> None:
    flags = {"policy": None, "seed": 9}
    assert choose_split(None, "nih", split="test", flags=flags) == SplitSettings(seed=9)
    assert choose_split(TRAINED, "other", split="test", flags=flags) == SplitSettings(seed=9)


def test_a_flag_that_could_test_on_training_patients_is_refused() -> None:
    with pytest.raises(
        SplitError, match=r"^--split-seed 6 \(in training 5\) can put patients that the bundle was trained on"
    ):
        choose_split(TRAINED, "nih", split="test", flags={"seed": 6})


def test_the_command_that_train_prints_tests_on_the_patients_left_aside(
    nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    words = train_words(nih_data, tmp_path / "run", "--split-policy", "patient", "--seed", 3, "--conf", "a.b=c d")
    trained = radspark(*words)
    assert trained.code == 0, trained.err
    name, *told = shlex.split(trained.out.splitlines()[-1])
    assert (name, told[0], told[-2:]) == ("radspark", "evaluate", ["--conf", "a.b=c d"])
    outcome = radspark(*told, "--identifiers", "keep")
    assert outcome.code == 0, outcome.err
    tested = {row.as_py() for row in pq.read_table(tmp_path / "run" / "test" / "predictions.parquet")["patient_id"]}
    aside = match_labels(
        SparkSession.active(),
        Source("nih", nih_data),
        split=SplitSettings("patient", validation_share=0.3, seed=3),
    ).frame.where("split = 'test'")
    assert tested == {row["patient_id"] for row in aside.select("patient_id").collect()}
    assert "--split-seed 4 (in training 3) can put patients" in radspark(*told, "--split-seed", 4).sentence

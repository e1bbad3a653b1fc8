"""A prepared set in place of a data folder: prepared, trained on and tested by commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from spark_jobs import undescribed

if TYPE_CHECKING:
    from command_line import Radspark

pytestmark = pytest.mark.spark


def test_a_prepared_set_is_trained_on_and_tested_as_its_files_are(
    nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    prepared, run = tmp_path / "prepared", tmp_path / "run"
    split = ("--validation-share", 0.3)
    source = ("--dataset", "nih", "--data-dir", nih_data)
    (tmp_path / "recipe.toml").write_text("[preparation]\nvoi = 1\n")
    chosen = ("--image-size", 32, "--recipe", tmp_path / "recipe.toml")
    outcome = radspark("data", "prepare", *source, "--out", prepared, *chosen, *split)
    assert outcome.code == 0, outcome.err
    assert undescribed(outcome.jobs) == []
    assert "36 samples" in outcome.out and "0 files refused" in outcome.out

    of_set = ("--dataset", "prepared", "--data-dir", prepared)
    network = ("--backbone", "resnet10t", "--image-size", 32, "--epochs", 1, "--batch-size", 100, "--workers", 1)
    outcome = radspark("train", *of_set, "--out", run, *network)
    assert outcome.code == 0, outcome.err
    config = json.loads((run / "bundle" / "config.json").read_text())
    assert config["data"]["dataset"] == "nih"
    assert config["data"]["split"]["validation_share"] == 0.3
    assert (config["preparation"]["size"], config["preparation"]["voi"]) == (32, 1)

    bundle = ("--bundle", run / "bundle", "--bootstrap", 0)
    for name, data in (("set", of_set), ("files", source)):
        outcome = radspark("evaluate", *bundle, *data, "--out", tmp_path / name)
        assert outcome.code == 0, outcome.err
    metrics = [json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("set", "files")]
    assert metrics[0] == metrics[1]
    patients = [pq.read_table(tmp_path / name / "predictions.parquet")["patient_id"] for name in ("set", "files")]
    assert patients[0] == patients[1] and len(patients[0][0].as_py()) == 32
    assert (tmp_path / "set" / "report.html").exists()

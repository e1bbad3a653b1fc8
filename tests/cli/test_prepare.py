"""A prepared set in place of a data folder: prepared, trained on and tested by commands."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_nih import write_nih

from spark_jobs import undescribed

if TYPE_CHECKING:
    from command_line import Radspark
    from pyspark.sql import SparkSession

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


def kill_after_batches(words: list[str], prepared: Path, num_batches: int, *, arrive: Callable[[], None]) -> None:
    """Start a command in processes of its own, and end it by `kill -9` when so many batches lie there, whole or not.

    Twice a second, a file may arrive.
    """
    command = [sys.executable, "-c", "from radspark.cli.main import run; run()", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    deadline = time.monotonic() + 300
    try:
        while len(list(prepared.glob("samples/batch=*"))) < num_batches:
            assert process.poll() is None, "it ended before it was killed"
            assert time.monotonic() < deadline, "too few batches in time"
            arrive()
            time.sleep(0.5)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read_set(prepared: Path) -> pa.Table:
    """The samples of the batches that count."""
    batches = json.loads((prepared / "manifest" / "manifest.json").read_text())["batches"]
    tables = [pq.read_table(prepared / "samples" / f"batch={name}", partitioning=None) for name in batches]
    return pa.concat_tables(tables).sort_by("image_id")


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("options", [(), ("--watch", 1)], ids=["once", "watching a folder that fills up"])
def test_a_set_whose_making_is_killed_again_and_again_is_the_set_of_an_undisturbed_one(
    spark: SparkSession, tmp_path: Path, radspark: Radspark, options: tuple[str | int, ...]
) -> None:
    data, killed, clean = write_nih(tmp_path / "data", num_images=200), tmp_path / "killed", tmp_path / "clean"
    later = sorted((data / "images").iterdir())[20:] if options else []
    for path in later:
        path.rename(tmp_path / path.name)

    def arrive() -> None:
        if later:
            path = later.pop()
            (tmp_path / path.name).rename(path)

    words = ("data", "prepare", "--dataset", "nih", "--data-dir", data, "--image-size", 32, "--files-per-batch", 10)
    for num_batches in (2, 7, 12):
        in_own_spark = (*words, *options, "--out", killed, "--master", "local[2]")
        kill_after_batches([str(word) for word in in_own_spark], killed, num_batches, arrive=arrive)
    while later:
        arrive()
    for prepared in (killed, clean):
        outcome = radspark(*words, "--out", prepared)
        assert outcome.code == 0, outcome.err
        assert "200 samples" in outcome.out
    assert read_set(killed).equals(read_set(clean))

"""The folder of a run, and what happens when it is used a second time."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import train_words

from radspark.bundle import load_bundle
from radspark.cli.recipe_options import resolve_recipe

if TYPE_CHECKING:
    from command_line import Radspark, Trained
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


def test_a_run_folder_holds_what_the_readme_says(trained: Trained) -> None:
    assert trained.outcome.code == 0, trained.outcome.err
    assert load_bundle(trained.run / "bundle").model.backbone == "resnet10t"
    history = json.loads((trained.run / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1]
    assert "</html>" in (trained.run / "report.html").read_text()


def test_the_screen_names_counts_results_and_the_next_command(trained: Trained) -> None:
    lines = trained.outcome.out.splitlines()
    assert lines[0].startswith("36 of 36 labelled radiographs found (")
    assert lines[1].startswith("training on ")
    assert [line for line in lines if line.startswith("epoch ")] == [line for line in lines if "mean AUROC" in line]
    assert f"bundle   {trained.run / 'bundle'}" in lines
    assert lines[-1].startswith(f"  radspark evaluate --bundle {trained.run / 'bundle'} --dataset nih --data-dir ")
    assert "\x1b" not in trained.outcome.out + trained.outcome.err


def test_an_unreadable_training_image_is_counted_named_and_left_out(trained: Trained) -> None:
    with (trained.run / "unreadable.csv").open() as handle:
        (row,) = csv.DictReader(handle)
    assert row["path"].endswith("00000001_000.png")
    assert row["error"]
    assert "warning: 1 images cannot be read and are left out" in trained.outcome.err
    assert load_bundle(trained.run / "bundle").training["training_images"] == 21


def test_a_batch_larger_than_the_data_is_warned_of(trained: Trained) -> None:
    assert "warning: batch_size 100 is more than the 21 training images: every epoch is one step" in trained.outcome.err


def test_nothing_but_warnings_of_radspark_is_on_stderr(trained: Trained) -> None:
    assert [line for line in trained.outcome.err.splitlines() if not line.startswith("warning: ")] == []
    assert len(trained.outcome.err.splitlines()) <= 3


def test_the_written_recipe_gives_the_same_choices(trained: Trained) -> None:
    recipe = resolve_recipe(
        file=trained.run / "recipe.toml", preset="default", flags={}, image_size=None, crop_size=None
    )
    assert recipe.model.backbone == "resnet10t"
    assert (recipe.preparation.size, recipe.model.input_size) == (32, 32)
    assert (recipe.training.batch_size, recipe.training.max_unreadable) == (100, 0.1)


def test_a_second_run_into_the_same_folder_is_refused_and_leaves_it(trained: Trained, radspark: Radspark) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.run.rglob("*") if path.is_file()}
    outcome = radspark(*train_words(trained.data, trained.run))
    assert "holds an earlier run; add --resume to go on with it, or choose another --out." in outcome.sentence
    assert {path: path.stat().st_mtime_ns for path in trained.run.rglob("*") if path.is_file()} == before


def test_resuming_where_nothing_is_says_so(tmp_path: Path, radspark: Radspark) -> None:
    outcome = radspark(*train_words(tmp_path, tmp_path / "new", "--resume"))
    assert "holds no checkpoint to resume from; leave --resume out to start anew." in outcome.sentence


def test_resuming_with_other_choices_names_them(trained: Trained, radspark: Radspark) -> None:
    words = train_words(trained.data, trained.run, "--resume", "--learning-rate", 0.5, "--backbone", "resnet14t")
    sentence = radspark(*words).sentence
    assert "model.backbone is 'resnet14t', was 'resnet10t'" in sentence
    assert "optimizer.learning_rate is 0.5, was 0.0003" in sentence
    assert f"--recipe {trained.run / 'recipe.toml'}" in sentence


def test_resuming_with_other_data_is_refused(
    spark: SparkSession, trained: Trained, nih_data: Path, radspark: Radspark
) -> None:
    words = train_words(nih_data, trained.run, "--resume", "--max-unreadable", 0.1)
    recipe = (trained.run / "recipe.toml").read_bytes()
    assert "the samples are not those of the run in" in radspark(*words).sentence
    assert (trained.run / "recipe.toml").read_bytes() == recipe


def test_a_run_is_resumed_for_more_epochs(trained: Trained, tmp_path: Path, radspark: Radspark) -> None:
    run = tmp_path / "longer"
    shutil.copytree(trained.run, run)
    outcome = radspark(
        "train", "--dataset", "nih", "--data-dir", trained.data, "--out", run,
        "--validation-share", 0.3, "--recipe", run / "recipe.toml", "--epochs", 2, "--resume",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "going on after step 1" in outcome.out
    history = json.loads((run / "history.json").read_text())
    assert [epoch["epoch"] for epoch in history["epochs"]] == [1, 2]


def test_resuming_a_run_that_is_done_gives_its_results_again(
    trained: Trained, tmp_path: Path, radspark: Radspark
) -> None:
    run = tmp_path / "done"
    shutil.copytree(trained.run, run)
    outcome = radspark(*train_words(trained.data, run, "--max-unreadable", 0.1, "--resume"))
    assert outcome.code == 0, outcome.err
    for name in ("bundle/model.safetensors", "bundle/config.json", "history.json", "recipe.toml", "report.html"):
        assert (run / name).read_bytes() == (trained.run / name).read_bytes(), name


def test_leftovers_of_a_run_without_a_checkpoint_are_cleared(
    spark: SparkSession, tmp_path: Path, radspark: Radspark
) -> None:
    run = tmp_path / "run"
    for leftover in ("checkpoints/best-00001.safetensors", "tensorboard/events"):
        (run / leftover).parent.mkdir(parents=True)
        (run / leftover).write_text("old")
    radspark(*train_words(tmp_path / "no-data", run))
    assert not list(run.rglob("best-*")) and not list(run.rglob("events"))


@pytest.mark.parametrize(("synchronizer", "said"), [("collective", "choose sliced"), ("sliced", "no-data")])
def test_only_sliced_goes_on_where_executors_come_and_go(
    spark: SparkSession,
    tmp_path: Path,
    radspark: Radspark,
    monkeypatch: pytest.MonkeyPatch,
    synchronizer: str,
    said: str,
) -> None:
    elastic = spark.sparkContext.getConf().set("spark.dynamicAllocation.enabled", "true")
    monkeypatch.setattr(spark.sparkContext, "_conf", elastic)
    words = train_words(tmp_path / "no-data", tmp_path / "run", "--synchronizer", synchronizer)
    assert said in radspark(*words).sentence


def test_keep_last_has_a_report_also_when_it_is_resumed_at_its_end(
    nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    words = train_words(nih_data, tmp_path / "run", "--keep", "last")
    first = radspark(*words)
    report = tmp_path / "run" / "report.html"
    assert first.code == 0, first.err
    assert f"report   {report}" in first.out.splitlines()
    written = report.read_bytes()
    report.unlink()
    assert radspark(*words, "--resume").code == 0
    assert report.read_bytes() == written


def test_no_report_is_promised_where_nothing_was_left_for_validation(
    nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    words = train_words(nih_data, tmp_path / "run")
    words[words.index("--validation-share") + 1] = 0
    outcome = radspark(*words)
    assert outcome.code == 0, outcome.err
    assert "no image is left for validation: the last weights are kept, and no report is written" in outcome.err
    assert not (tmp_path / "run" / "report.html").exists()
    assert "report " not in outcome.out

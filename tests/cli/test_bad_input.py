"""What a user can get wrong ends with one sentence and exit code 2, as early as it can be known."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import safetensors.torch
from command_line import train_words
from PIL import Image
from small_nih import HEADER, write_images, write_nih, write_tables

from spark_jobs import undescribed

if TYPE_CHECKING:
    from command_line import Radspark

from radspark.nn.timm_import import timm

pytestmark = [pytest.mark.spark, pytest.mark.usefixtures("spark")]


@pytest.fixture
def no_spark(monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that is asked for fails the test."""

    def refuse(**_: object) -> None:
        raise AssertionError("Spark was started")

    monkeypatch.setattr("radspark.frames.session.get_session", refuse)


def check(radspark: Radspark, folder: Path) -> str:
    return radspark("data", "check", "--dataset", "nih", "--data-dir", folder).sentence


def train(radspark: Radspark, data: Path, out: Path, *more: object) -> str:
    return radspark(*train_words(data, out / "run", *more)).sentence


def test_an_empty_folder(tmp_path: Path, radspark: Radspark) -> None:
    assert f"{tmp_path} holds no CSV table, or does not exist; data_dir must be" in check(radspark, tmp_path)


def test_a_folder_without_images(tmp_path: Path, radspark: Radspark) -> None:
    write_tables(tmp_path, ["00000001_000", "00000002_000", "00000003_000", "00000004_000"])
    assert "holds no radiographs: there is no .png" in check(radspark, tmp_path)


def test_a_label_table_of_another_data_set(tmp_path: Path, radspark: Radspark) -> None:
    (tmp_path / "train.csv").write_text("Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding\n")
    assert "Is this CheXpert?" in check(radspark, tmp_path)


def test_a_table_with_a_missing_column(tmp_path: Path, radspark: Radspark) -> None:
    (tmp_path / "Data_Entry_2017.csv").write_text(HEADER.replace("Finding Labels,", "") + "\na.png,0,1,58,M,PA\n")
    assert "Data_Entry_2017.csv has no column 'Finding Labels'; it has 'Image Index'" in check(radspark, tmp_path)


def test_no_label_that_meets_an_image(tmp_path: Path, radspark: Radspark) -> None:
    write_tables(tmp_path, ["00000001_000", "00000002_000", "00000003_000", "00000004_000"])
    write_images(tmp_path / "images", ["scan-1", "scan-2"])
    sentence = check(radspark, tmp_path)
    assert f"none of the 2 radiographs in {tmp_path} has a label: files are named like 'scan-1'" in sentence


def test_labels_and_images_without_a_partner_are_counted_and_warned_of(tmp_path: Path, radspark: Radspark) -> None:
    write_nih(tmp_path, num_images=8)
    (tmp_path / "images" / "00000002_000.png").unlink()
    write_images(tmp_path / "images", ["stray-1", "stray-2"])
    outcome = radspark("data", "check", "--dataset", "nih", "--data-dir", tmp_path)
    assert outcome.code == 0
    assert "warning: 1 of 8 labelled radiographs have no file\n" in outcome.err
    assert "warning: 2 of 9 files have no label and are left out\n" in outcome.err
    assert "7 of 8 labelled radiographs found" in outcome.out
    assert "1 without a file, 2 files without a label" in outcome.out


def test_bad_files_make_a_check_end_with_3_and_are_named(tmp_path: Path, radspark: Radspark) -> None:
    data = write_nih(tmp_path / "data", num_images=8)
    (data / "images" / "00000002_000.png").write_bytes(b"")
    Image.new("RGB", (40, 40), "red").save(data / "images" / "00000003_000.png")
    (tmp_path / "recipe.toml").write_text("[preparation]\nwrong_kind = 'flag'\n")
    words = ("--dataset", "nih", "--data-dir", data, "--out", tmp_path / "out")
    outcome = radspark("data", "check", *words, "--recipe", tmp_path / "recipe.toml")
    assert outcome.code == 3
    assert undescribed(outcome.jobs) == []
    assert "unreadable: 1   patients in more than one split: 0" in outcome.out
    assert "00000002_000.png" in (tmp_path / "out" / "unreadable.csv").read_text()
    assert "00000003_000.png,A color picture" in (tmp_path / "out" / "flagged.csv").read_text()


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--backbone", "resnet5O"), "model.backbone must be a timm architecture, got 'resnet5O'; the nearest are "),
        (("--metric", "mean_aurroc"), "training.metric must be one of loss, mean_auroc, mean_average_precision, got"),
        (("--optimizer", "adma"), "must be one of sgd, adam, adamw, lars, got 'adma'"),
        (("--image-size", "64", "--crop-size", "128"), "at most the side of the prepared images (64), got 128"),
        (("--epochs", "0"), "training.epochs must be at least 1, got 0"),
    ],
)
def test_a_wrong_choice_ends_before_spark_starts(
    tmp_path: Path, radspark: Radspark, words: tuple[str, ...], said: str
) -> None:
    assert said in train(radspark, tmp_path, tmp_path, *words)


def test_weights_for_another_architecture(nih_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    weights = tmp_path / "w.safetensors"
    safetensors.torch.save_file(timm.create_model("resnet18", in_chans=1).state_dict(), weights)
    sentence = train(radspark, nih_data, tmp_path, "--weights", weights)
    assert "w.safetensors does not fit resnet10t: " in sentence
    assert "missing (" in sentence and "unexpected (" in sentence


def test_a_missing_file_of_weights(nih_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    sentence = train(radspark, nih_data, tmp_path, "--weights", tmp_path / "no.safetensors")
    assert f"weights must be none, imagenet or a file; {tmp_path / 'no.safetensors'} does not exist." in sentence


def test_a_layer_that_the_backbone_does_not_have(nih_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    assert "layer33" in train(radspark, nih_data, tmp_path, "--truncate-at", "layer33")


def test_more_workers_than_slots(nih_data: Path, tmp_path: Path, radspark: Radspark) -> None:
    sentence = train(radspark, nih_data, tmp_path, "--workers", 12)
    assert "num_workers must be at most 2 (free task slots), got 12; lower it, add executors" in sentence


def test_too_many_unreadable_training_images(tmp_path: Path, radspark: Radspark) -> None:
    data = write_nih(tmp_path / "data", num_images=12)
    (data / "images" / "00000001_000.png").write_bytes(b"not a PNG")
    sentence = train(radspark, data, tmp_path)
    assert "training images cannot be read" in sentence
    assert "more than max_unreadable = 5% allows" in sentence


@pytest.mark.usefixtures("no_spark")
@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("{tmp}/file/run", "cannot be written (Not a directory); choose another place."),
        ("{tmp}/file", "cannot be written (File exists); choose another place."),
        ("/proc/radspark", "cannot be written (No such file or directory); choose another place."),
        ("hdfs://name-node/runs", "--out must be a path of this machine"),
    ],
)
def test_an_output_folder_that_cannot_be(tmp_path: Path, radspark: Radspark, out: str, said: str) -> None:
    (tmp_path / "file").write_text("")
    words = train_words(tmp_path, Path(out.format(tmp=tmp_path)))
    words[words.index("--out") + 1] = out.format(tmp=tmp_path)
    assert said in radspark(*words).sentence


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "radspark-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.usefixtures("no_spark")
def test_a_read_only_disk(small_disk: Path, radspark: Radspark) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    assert "cannot be written (Read-only file system)" in train(radspark, small_disk, small_disk)


@pytest.mark.usefixtures("no_spark")
def test_a_disk_that_is_full_already(small_disk: Path, radspark: Radspark) -> None:
    with (small_disk / "filler").open("wb") as filler, pytest.raises(OSError, match="No space"):
        filler.write(bytes(4 << 20))
    assert "cannot be written (No space left on device)" in train(radspark, small_disk, small_disk)


def test_a_disk_that_fills_up_during_training(nih_data: Path, small_disk: Path, radspark: Radspark) -> None:
    sentence = train(radspark, nih_data, small_disk)
    assert sentence.startswith("error: No space left on device")
    assert "free some space, or choose another folder." in sentence
    assert not list(small_disk.glob("run/checkpoints/step-*"))

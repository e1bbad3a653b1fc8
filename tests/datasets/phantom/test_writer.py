"""The folder on disk: NIH's layout, the marks of a synthetic image, and equal bytes for equal seeds."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from radspark.datasets.phantom import PhantomSummary, write_phantom_dataset
from radspark.datasets.phantom.cohort import plan_cohort
from radspark.datasets.phantom.render import render
from radspark.errors import DataError, SetupError

OPTIONS = {"num_images": 24, "seed": 5, "size": 96, "dicom_share": 0.25}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("phantom") / "data"
    write_phantom_dataset(out, **OPTIONS, num_workers=2)
    return out


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "Data_Entry_2017_v2020.csv").open() as file:
        return list(csv.DictReader(file))


def _bytes(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_equal_seeds_give_equal_bytes_on_any_number_of_workers(folder: Path, tmp_path: Path) -> None:
    write_phantom_dataset(tmp_path, **OPTIONS, num_workers=1)
    assert _bytes(tmp_path) == _bytes(folder)


def test_another_seed_gives_other_images(folder: Path, tmp_path: Path) -> None:
    write_phantom_dataset(tmp_path, **{**OPTIONS, "seed": 6}, num_workers=1)
    assert not set(_bytes(tmp_path / "images").values()) & set(_bytes(folder / "images").values())


@pytest.mark.data
@pytest.mark.parametrize("name", ["Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"])
def test_headers_are_those_of_nih(folder: Path, shared_data: Path, name: str) -> None:
    import gzip

    real = shared_data / "nih-256" / name
    text = real.read_text() if real.exists() else gzip.decompress(real.with_name(name + ".gz").read_bytes()).decode()
    assert (folder / name).read_text().splitlines()[0] == text.splitlines()[0]


def test_every_row_has_one_file(folder: Path) -> None:
    stems = [Path(row["Image Index"]).stem for row in _rows(folder)]
    pngs, dicoms = ([path.stem for path in folder.glob(pattern)] for pattern in ("images/*.png", "dicom/*.dcm"))
    assert sorted(pngs + dicoms) == stems
    assert len(dicoms) == 6


def test_lists_part_the_rows(folder: Path) -> None:
    train_val, test = ((folder / f"{name}_list.txt").read_text().split() for name in ("train_val", "test"))
    assert sorted(train_val + test) == [row["Image Index"] for row in _rows(folder)]


def test_every_finding_of_a_row_has_a_box(folder: Path) -> None:
    boxed = {tuple(line.split(",")[:2]) for line in (folder / "BBox_List_2017.csv").read_text().splitlines()[1:]}
    labelled = {
        (row["Image Index"], finding)
        for row in _rows(folder)
        for finding in row["Finding Labels"].split("|")
        if finding != "No Finding"
    }
    assert boxed == labelled


def test_boxes_are_in_nihs_frame_of_1024_pixels(folder: Path) -> None:
    lines = (folder / "BBox_List_2017.csv").read_text().splitlines()[1:]
    ends = [float(line.split(",")[2]) + float(line.split(",")[4]) for line in lines]
    assert 512 < max(ends) <= 1024


def test_a_png_says_that_it_is_synthetic(folder: Path) -> None:
    for path in (folder / "images").iterdir():
        with Image.open(path) as image:
            assert "Synthetic" in image.text["Title"]
            assert (image.mode, image.size) == ("L", (96, 96))
    assert "Synthetic" in (folder / "README.md").read_text()


def test_a_dicom_says_that_it_is_synthetic_and_shows_the_drawing(folder: Path) -> None:
    planned = {image.stem: image for image in plan_cohort(24, seed=5, test_share=0.2, dicom_share=0.25)}
    kinds = set()
    for path in (folder / "dicom").iterdir():
        dataset = pydicom.dcmread(path)
        assert (dataset.SyntheticData, dataset.QualityControlSubject, dataset.StudyDate) == ("YES", "YES", "")
        kinds.add(dataset.PhotometricInterpretation)
        grey = dataset.pixel_array / 4095
        shown = 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
        drawn = render(planned[path.stem], seed=5, size=96).grey
        assert np.abs(shown - drawn).max() < 1 / 4095
    assert kinds == {"MONOCHROME1", "MONOCHROME2"}


def test_summary_counts_what_was_written(tmp_path: Path) -> None:
    seen: list[int] = []
    summary = write_phantom_dataset(tmp_path, num_images=9, seed=1, size=64, num_workers=1, on_progress=seen.append)
    rows = _rows(tmp_path)
    assert seen == list(range(1, 10))
    assert isinstance(summary, PhantomSummary)
    assert (summary.num_images, summary.num_train_val + summary.num_test) == (9, 9)
    assert summary.num_patients == len({row["Patient ID"] for row in rows})
    assert summary.num_no_finding == sum(row["Finding Labels"] == "No Finding" for row in rows)
    assert sum(summary.num_positives.values()) == sum(
        len(row["Finding Labels"].split("|")) for row in rows if row["Finding Labels"] != "No Finding"
    )


def test_an_earlier_phantom_is_replaced(tmp_path: Path) -> None:
    write_phantom_dataset(tmp_path, num_images=6, seed=1, size=64, num_workers=1)
    write_phantom_dataset(tmp_path, num_images=3, seed=1, size=64, num_workers=1, dicom_share=0.0)
    assert len(list((tmp_path / "images").iterdir())) == 3
    assert not list((tmp_path / "dicom").iterdir())


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match=r"not empty.*phantom\.json.*new or empty folder"):
        write_phantom_dataset(tmp_path, num_images=2, seed=0, num_workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError, match="cannot write the phantom to"):
        write_phantom_dataset(tmp_path / "file" / "below", num_images=2, seed=0, num_workers=1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_images": 0}, "num_images must be at least 1, got 0"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
        ({"size": 32}, "size must be between 64 and 4096 pixels, got 32"),
        ({"dicom_share": 1.5}, "dicom_share must be between 0 and 1, got 1.5"),
        ({"test_share": -0.1}, "test_share must be between 0 and 1, got -0.1"),
        ({"num_workers": 0}, "num_workers must be at least 1, got 0"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_phantom_dataset(tmp_path / "new", **{"num_images": 2, "seed": 0, **wrong})
    assert not (tmp_path / "new").exists()

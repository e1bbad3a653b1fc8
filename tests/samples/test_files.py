from __future__ import annotations

from pathlib import Path

import pytest

from radspark.datasets.schema import ImageFiles
from radspark.errors import DataError
from radspark.samples.files import find_radiographs

pytestmark = pytest.mark.spark

IMAGES = ImageFiles(("images", "images_*", "dicom"))


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def find(spark, folder):
    rows = find_radiographs(spark, folder, images=IMAGES).collect()
    return {row["stem"]: (row["path"].removeprefix(f"file:{folder}/"), row["num_files"]) for row in rows}


def test_radiographs_lie_at_any_depth_of_the_folders_with_any_spelling(spark, tmp_path):
    put(tmp_path, "images/a.png", "images_001/images/b.PNG", "dicom/x/y/c.dcm", "images/d.JpEg", "images/e.jpg")
    put(tmp_path, "images/readme.txt", "thumbnails/f.png", "g.png")
    assert find(spark, tmp_path) == {
        "a": ("images/a.png", 1),
        "b": ("images_001/images/b.PNG", 1),
        "c": ("dicom/x/y/c.dcm", 1),
        "d": ("images/d.JpEg", 1),
        "e": ("images/e.jpg", 1),
    }


def test_png_is_taken_before_jpeg_and_dicom_and_then_the_first_path(spark, tmp_path):
    put(tmp_path, "dicom/a.dcm", "images_002/a.png", "images_001/a.png", "images/a.jpg")
    assert find(spark, tmp_path) == {"a": ("images_001/a.png", 4)}


def test_names_with_spaces_accents_and_percent_are_kept(spark, tmp_path):
    folder = tmp_path / "röntgen [1] 100%25"
    put(folder, "images/a b+c #1.png")
    assert find(spark, folder) == {"a b+c #1": ("images/a b+c #1.png", 1)}


def test_file_of_zero_bytes_is_found(spark, tmp_path):
    put(tmp_path, "images/a.png")
    (tmp_path / "images" / "empty.png").touch()
    assert set(find(spark, tmp_path)) == {"a", "empty"}


def test_content_is_not_read(spark, tmp_path):
    put(tmp_path, "images/a.png")
    secret = tmp_path / "images" / "b.png"
    secret.symlink_to("/proc/self/mem")  # Listed like a file; reading it from the start fails.
    assert set(find(spark, tmp_path)) == {"a", "b"}


@pytest.mark.parametrize("name", [None, "images/readme.txt", "elsewhere/a.png"])
def test_folder_without_radiographs_says_where_they_should_lie(spark, tmp_path, name):
    if name:
        put(tmp_path, name)
    with pytest.raises(DataError, match=r"holds no radiographs.*images/, images_\*/, dicom/"):
        find_radiographs(spark, tmp_path, images=IMAGES)

"""The one pass over a label table against plain counting."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from radspark.datasets.census import ListCount, take_census
from radspark.datasets.schema import SPLITS

pytestmark = pytest.mark.spark

ROWS = "image_id string, patient_id string, split string, problem string"


@pytest.fixture(scope="module")
def rows():
    """400 rows of some 300 images and 60 patients, with repeated images, blanks, and patients in several splits."""
    draw = random.Random(0)
    blank = [None] * 3
    return [
        (
            draw.choice([*blank, *(f"image-{i}" for i in range(300))]),
            draw.choice([*blank, *(f"patient-{i}" for i in range(60))]),
            draw.choice([*SPLITS, None]),
            draw.choice([*blank, "b is wrong", "a is wrong"]),
        )
        for _ in range(400)
    ]


def test_it_counts_what_counting_one_by_one_finds(spark, rows):
    files = [(f"image-{i}", 1 + i % 3) for i in range(200, 350)]
    census = take_census(
        spark.createDataFrame(rows, ROWS).repartition(5),
        files=spark.createDataFrame(files, "stem string, num_files long"),
    )
    images, present = Counter(image for image, *_ in rows if image is not None), {stem for stem, _ in files}
    first_split = {
        image: min((split for named, _, split, _ in rows if named == image and split), default=None) for image in images
    }
    splits = {patient: {split for _, named, split, _ in rows if named == patient and split} for _, patient, *_ in rows}
    assert (census.rows, census.without_image, census.without_patient) == (
        400,
        sum(image is None for image, *_ in rows),
        sum(patient is None for _, patient, *_ in rows),
    )
    assert census.repeated == images.total() - len(images)
    assert census.problem == "a is wrong"
    assert census.leaking == sum(len(found) > 1 for found in splits.values()) > 0
    assert (census.files, census.repeated_files) == (150, sum(number - 1 for _, number in files))
    matched = [image for image, *_ in rows if image in present]
    assert census.matched == len(matched) > 0
    assert census.matched_by_split == {split: sum(first_split[image] == split for image in matched) for split in SPLITS}
    assert (census.fingerprints, census.lists) == ({}, {})


def test_lists_are_counted_against_the_rows_and_each_other(spark):
    table = spark.createDataFrame([(f"i{i}", "p", None, None) for i in range(4)], ROWS)
    named = {"train": ["i0", "i1", "i1", "x"], "test": ["i1", "y"]}
    lists = [(image, split) for split, images in named.items() for image in images]
    census = take_census(table, lists=spark.createDataFrame(lists, "image_id string, split string"))
    assert census.lists == {"train": ListCount(2, 1, 0, "i0"), "test": ListCount(2, 1, 1, "i1")}
    assert (census.rows, census.repeated, census.files) == (4, 0, 0)


def test_patients_of_each_split_have_a_fingerprint_whatever_their_radiographs(spark):
    rows = [(f"i{i}", f"p{i % 7}", SPLITS[i % 7 % 3], None) for i in range(30)]
    found = fingerprints(spark, rows)
    assert {split: value.split("-")[0] for split, value in found.items()} == {
        "train": "3",
        "validation": "2",
        "test": "2",
    }
    assert fingerprints(spark, rows[7:]) == found
    exchanged = [(image, {"p0": "p1", "p1": "p0"}.get(patient, patient), *rest) for image, patient, *rest in rows]
    assert [split for split, value in fingerprints(spark, exchanged).items() if value == found[split]] == ["test"]


def fingerprints(spark, rows):
    return take_census(spark.createDataFrame(rows, ROWS)).fingerprints


def test_a_table_without_rows_is_counted_as_none(spark):
    census = take_census(spark.createDataFrame([], ROWS))
    assert (census.rows, census.repeated, census.problem, census.leaking) == (0, 0, None, 0)

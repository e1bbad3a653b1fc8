from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyspark.sql import functions as F

from radspark.datasets.columns import sex, stem, years

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyspark.sql import Column, DataFrame, SparkSession

pytestmark = pytest.mark.spark

few = settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def apply(spark: SparkSession, expression: Callable[[Column], Column], values: Sequence[str | None]) -> list[object]:
    rows = [(position, value) for position, value in enumerate(values)]
    frame: DataFrame = spark.createDataFrame(rows, "position int, value string")
    collected = frame.select("position", expression(F.col("value")).alias("out")).collect()
    return [row["out"] for row in sorted(collected)]


@few
@given(ages=st.lists(st.tuples(st.integers(0, 999), st.sampled_from("YMWD")), min_size=1, max_size=200))
def test_ages_of_dicom_are_years_up_to_120(spark, ages):
    days = {"Y": 365.25, "M": 365.25 / 12, "W": 7.0, "D": 1.0}
    expected = [number * days[unit] / 365.25 for number, unit in ages]
    found = apply(spark, years, [f"{number:03d}{unit}" for number, unit in ages])
    assert found == [pytest.approx(value) if value <= 120 else None for value in expected]


@few
@given(words=st.lists(st.text("0159YMWD. -", max_size=6).map("{}?".format), min_size=1, max_size=200))
def test_text_that_is_no_age_is_null(spark, words):
    assert apply(spark, years, words) == [None] * len(words)


def test_plain_ages_are_years(spark):
    assert apply(spark, years, ["58", " 058 ", "58y", "7.5", "0", "120", "121", "-3", "", None]) == [
        *(58.0, 58.0, 58.0, 7.5, 0.0, 120.0),
        *(None, None, None, None),
    ]


@few
@given(
    names=st.lists(
        st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_ .]*[A-Za-z0-9_]\.(png|dcm)", fullmatch=True), min_size=1, max_size=200
    )
)
def test_stem_is_that_of_pathlib(spark, names):
    paths = [f"file:/data/images_001/{name}" for name in names]
    assert apply(spark, stem, paths) == [PurePosixPath(path).stem for path in paths]


def test_stem_of_a_name_without_extension_is_the_name(spark):
    assert apply(spark, stem, ["a.b/00000013_005", "00000013_005.png ", "", None]) == [
        *("00000013_005", "00000013_005"),
        *(None, None),
    ]


def test_sex_is_one_letter_or_null(spark):
    assert apply(spark, sex, ["M", "f", " Male", "FEMALE", "O", "Unknown", "", None]) == [
        *"MFMF",
        None,
        None,
        None,
        None,
    ]

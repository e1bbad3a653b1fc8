"""Where samples come from travels with them, and tells whether a test is one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from radspark.datasets.reading import Source
from radspark.samples.join import load_samples
from radspark.samples.origin import find_origin, has_other_patients, leaking_differences
from radspark.settings import DataSettings, PreparationSettings, SplitSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BY_PATIENT = SplitSettings("patient", validation_share=0.1, test_share=0.2, seed=3)
OFFICIAL = replace(BY_PATIENT, policy="official")
BY_DATE = SplitSettings("date", test_from="2020-01-01")


@pytest.mark.parametrize(
    ("trained", "split", "change", "differing"),
    [
        (BY_PATIENT, "test", {"seed": 4}, ("seed",)),
        (BY_PATIENT, "test", {"test_share": 0.3, "seed": 4}, ("test_share", "seed")),
        (BY_PATIENT, "test", {"validation_share": 0.5}, ()),
        (BY_PATIENT, "validation", {"validation_share": 0.5}, ("validation_share",)),
        (BY_PATIENT, "test", {"policy": "official"}, ("policy",)),
        (BY_PATIENT, "train", {"seed": 4}, ()),
        (OFFICIAL, "test", {"seed": 4, "validation_share": 0.5, "test_share": 0.4}, ()),
        (OFFICIAL, "validation", {"seed": 4, "validation_share": 0.5}, ("validation_share", "seed")),
        (OFFICIAL, "test", {"policy": "patient"}, ("policy",)),
        (BY_DATE, "test", {"test_from": "2021-01-01"}, ("test_from",)),
        (BY_DATE, "test", {"seed": 4}, ()),
    ],
)
def test_what_can_leak_is_named(
    trained: SplitSettings, split: str, change: dict[str, Any], differing: tuple[str, ...]
) -> None:
    tested = replace(trained, **change)
    assert leaking_differences(DataSettings("nih", trained), DataSettings("nih", tested), split=split) == differing


@pytest.mark.parametrize(
    ("trained", "tested", "differing"),
    [("nih", "another", ()), ("nih + chexpert", "padchest", ()), ("nih + chexpert", "nih", ("seed",))],
)
def test_only_a_data_set_that_was_trained_on_can_leak(trained: str, tested: str, differing: tuple[str, ...]) -> None:
    first, second = DataSettings(trained, BY_PATIENT), DataSettings(tested, replace(BY_PATIENT, seed=4))
    assert leaking_differences(first, second, split="test") == differing


THEN = {"train": "6-a", "validation": "1-b", "test": "3-c"}


@pytest.mark.parametrize(
    ("now", "split", "others"),
    [
        (THEN, "test", False),
        ({**THEN, "test": "4-d"}, "test", False),
        ({**THEN, "train": "7-e"}, "test", False),
        ({**THEN, "train": "5-e", "test": "4-d"}, "test", True),
        ({**THEN, "validation": "0-0", "test": "4-d"}, "test", True),
        ({**THEN, "train": "5-e", "validation": "2-d"}, "validation", True),
        ({**THEN, "train": "5-e", "test": "4-d"}, "train", False),
    ],
)
def test_other_patients_are_seen_by_fingerprint(now: dict[str, str], split: str, others: bool) -> None:
    trained, tested = (DataSettings("nih", fingerprints={"nih": found}) for found in (THEN, now))
    assert has_other_patients(trained, tested, split=split) == others
    assert not has_other_patients(DataSettings("nih"), tested, split=split)


def test_a_list_is_judged_by_its_patients_alone() -> None:
    listed = DataSettings("nih", SplitSettings("file"))
    assert leaking_differences(DataSettings("nih", BY_PATIENT, fingerprints={"nih": THEN}), listed, split="test") == ()
    assert leaking_differences(DataSettings("nih", BY_PATIENT), listed, split="test") == ("policy",)


@pytest.mark.spark
def test_samples_tell_how_they_were_split_after_a_trip_through_parquet(
    spark: SparkSession, write_nih_images: Any, tmp_path: Any
) -> None:
    images = [f"images/0000000{i}_000.png" for i in (1, 2, 3, 4)]
    split = SplitSettings("patient", validation_share=0.25, test_share=0.5, seed=7)
    frame = load_samples(
        spark,
        Source("nih", write_nih_images(images)),
        preparation=PreparationSettings(size=16),
        split=split,
    ).frame
    frame.where("split is not null").write.parquet(str(tmp_path / "samples"))
    told = find_origin(spark.read.parquet(str(tmp_path / "samples")))
    assert told is not None and told.fingerprints["nih"].keys() == {"train", "validation", "test"}
    assert replace(told, fingerprints={}) == DataSettings("nih", split)
    assert find_origin(frame.drop("split")) is None

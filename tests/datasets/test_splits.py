from __future__ import annotations

import datetime
import hashlib
from collections import Counter

import pytest
from pyspark.sql import functions as F

from radspark.datasets.leaks import find_leak
from radspark.datasets.splits import (
    SPLIT_POLICIES,
    check_split_settings,
    get_split_policy,
)
from radspark.settings import SplitSettings

SCHEMA = "image_id string, patient_id string, site string, date date, labels array<float>, split string"
NEEDS = {"site": {"test_sites": ("West",)}, "date": {"test_from": "2020-01-01"}}
"""What some policies ask for."""
DRAWN = {name: policy for name, policy in SPLIT_POLICIES.items() if name != "file"}
"""All but the list, whose leaks are its writer's; see test_split_file."""
STABLE = [name for name in SPLIT_POLICIES if name not in ("stratified", "file")]


def labels_of(patient: int, image: int) -> list[float | None]:
    """Every second patient shows the first finding, patients 7, 107, 207 and 307 the second, on one radiograph."""
    return [float(patient % 2), float(patient % 100 == 7 and image == 1), None]


@pytest.fixture(scope="module")
def table(spark):
    """400 patients with three radiographs each; the last 100 patients test officially."""
    rows = [
        (
            f"{p:04d}_{i}",
            str(p),
            "West" if p % 10 == 0 and i == 0 else "East",
            datetime.date(2019 + (p % 4 == 0) + i, 6, 1),
            labels_of(p, i),
            "test" if p >= 300 else "train",
        )
        for p in range(400)
        for i in range(3)
    ]
    return spark.createDataFrame(rows, SCHEMA)


def settings(name, **choices):
    return SplitSettings(policy=name, validation_share=0.2, test_share=0.3, **NEEDS.get(name, {}), **choices)


def assign(table, name, **choices):
    frame = SPLIT_POLICIES[name].assign(table, settings(name, **choices))
    return {row["image_id"]: row["split"] for row in frame.select("image_id", "split").collect()}


@pytest.mark.spark
@pytest.mark.parametrize("policy", DRAWN.values(), ids=DRAWN)
def test_a_policy_leaks_exactly_if_it_says_so(table, policy):
    assert (find_leak(policy.assign(table, settings(policy.name))).num_patients > 0) == policy.leaks_patients


@pytest.mark.spark
def test_draw_is_sha256_of_seed_and_patient(table):
    def drawn(patient: str) -> float:
        return int(hashlib.sha256(f"7:{patient}".encode()).hexdigest()[:13], 16) / 16**13

    for image, split in assign(table, "patient", seed=7).items():
        value = drawn(str(int(image.split("_")[0])))
        assert split == ("test" if value < 0.3 else "validation" if value < 0.5 else "train")


@pytest.mark.spark
def test_shares_are_met_to_sampling_error(table):
    counts = Counter(assign(table, "patient").values())
    assert counts["test"] / 1200 == pytest.approx(0.3, abs=0.08)
    assert counts["validation"] / 1200 == pytest.approx(0.2, abs=0.08)


@pytest.mark.spark
@pytest.mark.parametrize("name", STABLE)
def test_splits_stay_when_data_grows(table, name):
    part = assign(table.where("patient_id % 2 = 0"), name)
    assert part.items() <= assign(table, name).items()


@pytest.mark.spark
def test_another_seed_gives_other_splits(table):
    assert assign(table, "patient", seed=1) != assign(table, "patient", seed=2)


@pytest.mark.spark
def test_official_validation_is_cut_out_of_train_only(table):
    splits = assign(table, "official")
    assert {split for image, split in splits.items() if image >= "0300"} == {"test"}
    assert {split for image, split in splits.items() if image < "0300"} == {"train", "validation"}


@pytest.mark.spark
def test_stratified_shares_are_exact_and_rare_findings_are_everywhere(table):
    splits = assign(table, "stratified")
    patients = {int(image[:4]): split for image, split in splits.items()}
    rare = Counter(split for patient, split in patients.items() if patient % 100 == 7)
    common = Counter(split for patient, split in patients.items() if patient % 2 and patient % 100 != 7)
    assert rare == {"train": 2, "validation": 1, "test": 1}
    assert common == {"train": 98, "validation": 39, "test": 59}


@pytest.mark.spark
def test_rows_without_a_patient_stay_for_the_check_to_find(table):
    broken = table.limit(5).withColumn("patient_id", F.lit(None).cast("string"))
    policy = SPLIT_POLICIES["stratified"]
    assert policy.assign(broken, SplitSettings(policy="stratified")).count() == 5


@pytest.mark.spark
def test_a_share_of_nothing_stays_nothing_in_every_stratum(table):
    frame = SPLIT_POLICIES["stratified"].assign(
        table, SplitSettings(policy="stratified", validation_share=0, test_share=0.3)
    )
    assert {row["split"] for row in frame.select("split").collect()} == {"train", "test"}


@pytest.mark.spark
def test_whoever_was_once_at_a_test_site_tests(table):
    splits = assign(table, "site")
    tests = {image[:4] for image, split in splits.items() if split == "test"}
    assert tests == {f"{patient:04d}" for patient in range(0, 400, 10)}


@pytest.mark.spark
def test_whoever_was_first_seen_late_tests(table):
    splits = assign(table, "date")
    assert {int(image[:4]) % 4 for image, split in splits.items() if split == "test"} == {0}
    assert {int(image[:4]) % 4 for image, split in splits.items() if split != "test"} == {1, 2, 3}


@pytest.mark.spark
@pytest.mark.parametrize(("name", "column"), [("site", "site"), ("date", "date")])
def test_patients_of_unknown_site_or_date_are_in_no_split(spark, name, column):
    row = {"image_id": "a", "patient_id": "1", "labels": [1.0]}
    assert assign(spark.createDataFrame([row], SCHEMA), name) == {"a": None}


@pytest.mark.spark
def test_external_data_tests_as_a_whole(table):
    assert set(assign(table, "external").values()) == {"test"}


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"policy": "site"}, "'site' needs test_sites"),
        ({"policy": "date"}, "'date' needs test_from"),
        ({"policy": "file"}, "'file' needs split_file"),
        (
            {"policy": "patient", "test_sites": ("West",)},
            "'patient' has no use for test_sites, which belongs to 'site'",
        ),
    ],
)
def test_what_a_policy_needs_belongs_to_it_alone(choices, message):
    with pytest.raises(ValueError, match=message):
        check_split_settings(SplitSettings(**choices))


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.1, 1.0), (0.5, 0.5)])
def test_shares_leave_something_to_train_on(validation, test):
    with pytest.raises(ValueError, match="share"):
        check_split_settings(SplitSettings(policy="patient", validation_share=validation, test_share=test))


def test_a_typo_names_the_nearest_policy():
    with pytest.raises(ValueError, match="Did you mean 'official'"):
        get_split_policy("oficial")

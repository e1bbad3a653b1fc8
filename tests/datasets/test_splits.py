from __future__ import annotations

import hashlib
from collections import Counter

import pytest

from radspark.datasets.splits import SPLIT_POLICIES, SplitShares, check_no_leak, find_leak, get_split_policy
from radspark.errors import SplitError

SHARES = SplitShares(validation=0.2, test=0.3)


@pytest.fixture(scope="module")
def table(spark):
    """400 patients with three radiographs each; the last 100 patients test officially."""
    rows = [(f"{p:04d}_{i}", str(p), "test" if p >= 300 else "train") for p in range(400) for i in range(3)]
    return spark.createDataFrame(rows, "image_id string, patient_id string, split string")


def assign(table, name, shares=SHARES, seed=0):
    frame = SPLIT_POLICIES[name].assign(table, shares, seed)
    return {row["image_id"]: row["split"] for row in frame.collect()}


@pytest.mark.spark
@pytest.mark.parametrize("policy", SPLIT_POLICIES.values(), ids=SPLIT_POLICIES)
def test_a_policy_leaks_exactly_if_it_says_so(table, policy):
    assert (find_leak(policy.assign(table, SHARES, 0)).num_patients > 0) == policy.leaks_patients


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
@pytest.mark.parametrize("name", SPLIT_POLICIES)
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
def test_a_leak_is_counted_and_names_three_patients(spark):
    rows = [(str(patient), split) for patient in range(10, 15) for split in ("train", "test")]
    frame = spark.createDataFrame(
        [*rows, ("99", "train"), ("98", None), ("98", "test")], "patient_id string, split string"
    )
    with pytest.raises(SplitError, match=r"^5 patients stand in two splits \(for example 10, 11, 12\)"):
        check_no_leak(frame)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.1, 1.0), (0.5, 0.5)])
def test_shares_leave_something_to_train_on(validation, test):
    with pytest.raises(ValueError, match="share"):
        SplitShares(validation=validation, test=test)


def test_a_typo_names_the_nearest_policy():
    with pytest.raises(ValueError, match="Did you mean 'official'"):
        get_split_policy("oficial")

from __future__ import annotations

import pytest

from radspark.datasets.registry import DATASETS, get_dataset, suited_preparation
from radspark.settings import PreparationSettings


def test_records_stand_under_their_names():
    assert {name: dataset.name for name, dataset in DATASETS.items()} == {name: name for name in DATASETS}


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)
def test_every_data_set_says_whom_to_cite_and_on_what_terms(dataset):
    assert dataset.citation.endswith(".") and dataset.license.endswith(".")


def test_a_typo_names_the_nearest_data_set():
    with pytest.raises(ValueError, match=r"got 'nhi'\. Did you mean 'nih'\?"):
        get_dataset("nhi")


def test_preparation_suits_all_data_sets_that_are_put_together():
    assert suited_preparation(["nih"]) == PreparationSettings()
    assert suited_preparation(["nih", "padchest"]) == PreparationSettings(sixteen_bit="used_bits")


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_names_settings_that_there_are(name):
    assert suited_preparation([name]).size == PreparationSettings().size

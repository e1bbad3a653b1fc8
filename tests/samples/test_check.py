from __future__ import annotations

import json

import pytest

from radspark.datasets.reading import Source
from radspark.samples.check import FindingCounts, check_dataset
from radspark.settings import PreparationSettings, SplitSettings

pytestmark = pytest.mark.spark

SMALL = PreparationSettings(size=16)
ALL = [
    f"images/{stem}.png" for stem in ("00000001_000", "00000001_001", "00000002_000", "00000003_000", "00000004_000")
]


def check(spark, folder, **options):
    return check_dataset(
        spark, Source("nih", folder), preparation=SMALL, split=SplitSettings(validation_share=0), **options
    )


def test_sound_set_is_counted_by_split_finding_and_patient(spark, write_nih_images):
    report = check(spark, write_nih_images(ALL))
    assert {name: (split.radiographs, split.patients) for name, split in report.splits.items()} == {
        "train": (3, 2),
        "test": (2, 2),
    }
    assert report.splits["train"].findings["Mass"] == FindingCounts(positives=3, negatives=0, unknown=0)
    assert report.splits["train"].findings["Hernia"] == FindingCounts(positives=0, negatives=3, unknown=0)
    assert (report.ages, report.sexes, report.views) == ({"50-59": 5}, {"M": 5}, {"PA": 5})
    assert report.is_clean


def test_unreadable_files_are_named_with_their_errors(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / ALL[1]).write_text("not a picture")
    (folder / ALL[3]).write_bytes(b"")
    report = check(spark, folder)
    assert [file.path for file in report.unreadable] == [f"file:{folder / ALL[1]}", f"file:{folder / ALL[3]}"]
    assert all(file.error for file in report.unreadable) and not report.is_clean


def test_unknown_values_have_their_own_keys(spark, write_nih_images):
    folder = write_nih_images(ALL)
    table = folder / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace(",Mass|Edema,0,4,058,M,PA", ",,0,4,411Y,,"))
    (folder / "test_list.txt").write_text("00000003_000.png")
    report = check(spark, folder)
    assert report.splits["unknown"].findings["Mass"] == FindingCounts(positives=0, negatives=0, unknown=1)
    assert (report.ages, report.sexes, report.views) == (
        {"50-59": 4, "unknown": 1},
        {"M": 4, "unknown": 1},
        {"PA": 4, "unknown": 1},
    )


def test_leak_is_reported_not_raised(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / "train_val_list.txt").write_text("00000001_000.png")
    (folder / "test_list.txt").write_text("00000001_001.png")
    report = check(spark, folder)
    assert (report.leak.num_patients, report.leak.examples, report.is_clean) == (1, ("1",), False)


def test_dictionary_is_json_without_names_of_files_or_patients(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / ALL[3]).write_text("not a picture")
    written = json.dumps(check(spark, folder).to_dict())
    assert json.loads(written)["unreadable"] == 1
    assert "00000003" not in written and str(folder) not in written


def test_odd_files_are_named_with_their_warnings_and_are_clean(spark, write_nih_images):
    report = check(spark, write_nih_images(ALL[:1]))
    assert [file.warning for file in report.flagged] == ["The image is blank: its greys span less than 8 of 255."]
    assert report.is_clean
    assert report.to_dict()["flagged_warnings"] == {report.flagged[0].warning: 1}

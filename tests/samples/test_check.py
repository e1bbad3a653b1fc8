from __future__ import annotations

import json
import shutil

import pytest

from radspark.datasets.leaks import fingerprint_splits
from radspark.datasets.reading import Source
from radspark.samples.check import check_dataset
from radspark.samples.check_counts import FindingCounts
from radspark.samples.join import match_labels
from radspark.samples.origin import find_origin
from radspark.settings import PreparationSettings, SplitSettings

pytestmark = pytest.mark.spark

SMALL = PreparationSettings(size=16)
ALL = [
    f"images/{stem}.png" for stem in ("00000001_000", "00000001_001", "00000002_000", "00000003_000", "00000004_000")
]


def check(spark, folder):
    return check_dataset(spark, Source("nih", folder), preparation=SMALL, split=SplitSettings(validation_share=0))


def test_sound_set_is_counted_by_split_finding_and_patient(spark, write_nih_images):
    folder = write_nih_images(ALL)
    with check(spark, folder) as report:
        found = report.radiographs
        assert list(report.list_placed()) == [
            (file[7:-4], "test" if "3_" in file or "4_" in file else "train") for file in ALL
        ]
    assert {name: (split.radiographs, split.patients) for name, split in found.splits.items()} == {
        "train": (3, 2),
        "test": (2, 2),
    }
    assert found.splits["train"].findings["Mass"] == FindingCounts(positives=3, negatives=0, unknown=0)
    assert found.splits["train"].findings["Hernia"] == FindingCounts(positives=0, negatives=3, unknown=0)
    assert (found.ages, found.sexes, found.views) == ({"50-59": 5}, {"M": 5}, {"PA": 5})
    matched = match_labels(spark, Source("nih", folder), split=SplitSettings(validation_share=0))
    assert found.splits_fingerprint == fingerprint_splits(matched.frame)
    kept_by_a_bundle = find_origin(matched.frame).fingerprints
    assert report.to_dict()["fingerprints"] == kept_by_a_bundle
    assert {split: text[:2] for split, text in kept_by_a_bundle["nih"].items()} == {
        "train": "2-",
        "validation": "0-",
        "test": "2-",
    }
    assert report.is_clean


def test_unreadable_files_are_named_with_their_errors(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / ALL[1]).write_text("not a picture")
    (folder / ALL[3]).write_bytes(b"")
    with check(spark, folder) as report:
        unreadable, flagged = list(report.list_unreadable()), list(report.list_flagged())
    assert [file.path for file in unreadable] == [f"file:{folder / ALL[1]}", f"file:{folder / ALL[3]}"]
    assert report.radiographs.unreadable_errors == {file.error: 1 for file in unreadable}
    assert (report.radiographs.unreadable, len(flagged), report.is_clean) == (2, 3, False)


def test_radiographs_are_decoded_once_and_their_pixels_not_kept(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / ALL[1]).write_text("not a picture")
    with check(spark, folder) as report:
        shutil.rmtree(folder / "images")
        assert (len(list(report.list_unreadable())), len(list(report.list_placed()))) == (1, 5)
        assert {"hash", "pixels"} < set(report._seen.columns) and "image" not in report._seen.columns
        assert report._seen.is_cached
    assert not report._seen.is_cached


def test_unknown_values_have_their_own_keys(spark, write_nih_images):
    folder = write_nih_images(ALL)
    table = folder / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace(",Mass|Edema,0,4,058,M,PA", ",,0,4,411Y,,"))
    (folder / "test_list.txt").write_text("00000003_000.png")
    with check(spark, folder) as report:
        found = report.radiographs
    assert found.splits["unknown"].findings["Mass"] == FindingCounts(positives=0, negatives=0, unknown=1)
    assert (found.ages, found.sexes, found.views) == (
        {"50-59": 4, "unknown": 1},
        {"M": 4, "unknown": 1},
        {"PA": 4, "unknown": 1},
    )


def test_leak_is_reported_not_raised(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / "train_val_list.txt").write_text("00000001_000.png")
    (folder / "test_list.txt").write_text("00000001_001.png")
    with check(spark, folder) as report:
        assert (report.leak.num_patients, report.leak.examples, report.is_clean) == (1, ("1",), False)


def test_dictionary_is_json_without_names_of_files_or_patients(spark, write_nih_images):
    folder = write_nih_images(ALL)
    (folder / ALL[3]).write_text("not a picture")
    with check(spark, folder) as report:
        written = json.dumps(report.to_dict())
    assert json.loads(written)["unreadable"] == 1
    assert "00000003" not in written and str(folder) not in written


def test_odd_files_are_named_with_their_warnings_and_are_clean(spark, write_nih_images):
    with check(spark, write_nih_images(ALL[:1])) as report:
        flagged = list(report.list_flagged())
    assert [file.warning for file in flagged] == ["The image is blank: its greys span less than 8 of 255."]
    assert report.is_clean
    assert report.to_dict()["flagged_warnings"] == {flagged[0].warning: 1}

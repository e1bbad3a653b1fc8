from __future__ import annotations

from radspark.samples.counts import JoinCounts

COUNTS = JoinCounts(
    labeled=112_120,
    files=2_320,
    matched=2_318,
    repeated_files=1,
    by_split={"train": 1_940, "validation": 215, "test": 160},
)


def test_singles_follow_from_partners():
    assert (COUNTS.labeled_without_file, COUNTS.files_without_label, COUNTS.without_split) == (109_802, 2, 3)


def test_summary_is_one_line():
    assert COUNTS.summary() == (
        "2,318 of 112,120 labelled radiographs found (1,940 train, 215 validation, 160 test); "
        "109,802 without a file, 2 files without a label"
    )


def test_dictionary_holds_all_counts():
    assert COUNTS.to_dict() == {
        "labeled": 112_120,
        "files": 2_320,
        "matched": 2_318,
        "repeated_files": 1,
        "by_split": {"train": 1_940, "validation": 215, "test": 160},
        "refused": 0,
        "labeled_without_file": 109_802,
        "files_without_label": 2,
        "without_split": 3,
    }

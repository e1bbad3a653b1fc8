"""Prepared sets: every file once, whatever is cut off or added, and the same samples as from the files themselves."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
import time

import pytest

from radspark.datasets.reading import Source
from radspark.errors import ArgumentError, DataError, SplitError
from radspark.identifiers import Identifiers
from radspark.samples import prepare_batch
from radspark.samples.join import load_samples, match_labels
from radspark.samples.origin import find_origin
from radspark.samples.prepare import prepare_samples
from radspark.samples.prepared_set import PreparedSet, read_manifest, read_quarantine
from radspark.settings import PreparationSettings, SplitSettings
from spark_jobs import spark_plans

pytestmark = pytest.mark.spark

SMALL = PreparationSettings(size=16)
ALL = [f"images/0000000{name}.png" for name in ("1_000", "1_001", "2_000", "3_000", "4_000")]
COLUMNS = ("image_id", "patient_id", "labels", "split", "age", "view", "warning")


@pytest.fixture
def out(tmp_path_factory):
    return str(tmp_path_factory.mktemp("prepared") / "set")


def run(spark, folder, out, **choices):
    kept = {"preparation": SMALL, "identifiers": Identifiers("keep")}
    return prepare_samples(spark, Source("nih", folder), out, **{**kept, **choices})


def contents(frame):
    rows = frame.select(*COLUMNS, "image.data").orderBy("image_id").collect()
    return [tuple(bytes(value) if isinstance(value, bytearray) else value for value in row) for row in rows]


def quarantined(spark, out):
    rows = read_quarantine(spark, out, read_manifest(spark, out)).collect()
    return {row["path"].rsplit("/", 1)[-1]: row["error"] for row in rows}


def test_samples_are_those_of_the_files_without_their_paths(spark, write_nih_images, out):
    folder = write_nih_images(ALL)
    manifest = run(spark, folder, out)
    loaded = load_samples(spark, Source("nih", folder), preparation=SMALL)
    prepared = load_samples(spark, PreparedSet(out))
    assert contents(prepared.frame) == contents(loaded.frame)
    assert {row["origin"] for row in prepared.frame.select("image.origin").collect()} == {None}
    assert (prepared.labels, prepared.counts.by_split) == (loaded.labels, loaded.counts.by_split)
    origin = find_origin(prepared.frame)
    assert origin.prepared == manifest.fingerprint
    assert dataclasses.replace(origin, prepared=None) == find_origin(loaded.frame)
    assert (manifest.num_samples, manifest.num_refused) == (5, 0)


def test_patients_are_hashed_and_splits_stay_those_of_the_table(spark, write_nih_images, out):
    folder = write_nih_images(ALL)
    split, key = SplitSettings("patient", validation_share=0.3, test_share=0.3, seed=2), Identifiers("hash", b"k" * 32)
    manifest = run(spark, folder, out, identifiers=key, split=split)
    assert (manifest.identifiers, manifest.key_check) == ("hash", key("radspark"))
    prepared = load_samples(spark, PreparedSet(out)).frame.select("image_id", "patient_id", "split").collect()
    table = match_labels(spark, Source("nih", folder), split=split).frame.collect()
    assert {tuple(row) for row in prepared} == {
        (row["image_id"], key(row["patient_id"]), row["split"]) for row in table
    }
    for other, said in (
        (Identifiers("hash", b"o" * 32), "another key of identifiers"),
        (Identifiers("keep"), "was begun with identifiers hash, got keep"),
        (Identifiers("drop"), "must be hash or keep, got 'drop'"),
    ):
        with pytest.raises(ArgumentError, match=said):
            run(spark, folder, out, identifiers=other, split=split)


def test_every_file_is_a_sample_or_is_refused_with_its_reason(spark, write_nih_images, out):
    folder = write_nih_images([*ALL, "dicom/00000002_000.dcm", "images/00000099_000.png"])
    (folder / ALL[0]).write_text("not a picture")
    (folder / ALL[3]).write_bytes(b"")
    manifest = run(spark, folder, out)
    assert (manifest.num_samples, manifest.num_refused) == (3, 4)
    refused = quarantined(spark, out)
    assert refused["00000099_000.png"] == "no row in the label table names it."
    assert refused["00000002_000.dcm"] == "another file of this image is prepared."
    assert set(refused) == {"00000099_000.png", "00000002_000.dcm", "00000001_000.png", "00000003_000.png"}
    assert run(spark, folder, out) == manifest
    for stem in ("00000077_000", "00000078_000"):
        (folder / f"images/{stem}.png").touch()
    grown = run(spark, folder, out, files_per_batch=1)
    assert [batch.refused for name, batch in grown.batches.items() if "unseen" in name] == [1, 1, 1]


def test_new_files_are_added_and_old_ones_left(spark, write_nih_images, out):
    folder = write_nih_images(ALL[:3])
    first = run(spark, folder, out)
    write_nih_images([*ALL, "dicom/00000002_000.dcm"])
    (folder / ALL[0]).unlink()
    added = run(spark, folder, out)
    assert (first.num_samples, added.num_samples) == (3, 5)
    assert quarantined(spark, out) == {"00000002_000.dcm": "another file of this image was prepared before."}
    assert [plan for plan in spark_plans() if "00000002_000" in plan] == []
    assert {name: added.batches[name] for name in first.batches} == first.batches
    shutil.rmtree(folder / "images")
    assert len(load_samples(spark, PreparedSet(out)).frame.collect()) == 5


def test_fingerprint_does_not_depend_on_batches(spark, write_nih_images, out):
    folder = write_nih_images(ALL)
    one, many = run(spark, folder, out + "1"), run(spark, folder, out + "2", files_per_batch=2)
    assert (len(one.batches), len(many.batches)) == (1, 3)
    assert one.fingerprint == many.fingerprint


def test_batch_that_was_cut_off_is_written_once(spark, write_nih_images, out, monkeypatch):
    folder = write_nih_images(ALL)
    expected = run(spark, folder, out + "-sound", files_per_batch=2)
    whole = prepare_batch.write_manifest
    written = []

    def fail_after_second(spark, uri, manifest):
        written.append(manifest)
        if len(written) == 2:
            raise DataError("the power went.")
        whole(spark, uri, manifest)

    monkeypatch.setattr(prepare_batch, "write_manifest", fail_after_second)
    with pytest.raises(DataError, match=r"^the power went\.$"):
        run(spark, folder, out, files_per_batch=2)
    monkeypatch.undo()
    assert run(spark, folder, out, files_per_batch=2).fingerprint == expected.fingerprint
    assert len(load_samples(spark, PreparedSet(out)).frame.collect()) == 5


def test_folder_that_fills_up_is_followed(spark, write_nih_images, out):
    folder = write_nih_images(ALL[:1])
    thread = threading.Thread(target=run, args=(spark, folder, out), kwargs={"watch_seconds": 0.5})
    thread.start()
    try:
        wait_for(lambda: count(spark, out) == 1)
        write_nih_images(ALL)
        wait_for(lambda: count(spark, out) == 5)
    finally:
        for query in spark.streams.active:
            query.stop()
        thread.join()
    assert len(load_samples(spark, PreparedSet(out)).frame.collect()) == 5


def count(spark, out):
    manifest = read_manifest(spark, out)
    return manifest.num_samples if manifest else 0


def wait_for(reached, seconds=200):
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_other_choices_are_refused(spark, write_nih_images, out):
    folder = write_nih_images(ALL)
    run(spark, folder, out)
    with pytest.raises(ValueError, match=r"was begun with preparation .*'size': 16.* got .*'size': 32"):
        run(spark, folder, out, preparation=PreparationSettings(size=32))
    with pytest.raises(ValueError, match="was begun with data"):
        run(spark, folder, out, split=SplitSettings("patient"))


def test_split_that_moves_takes_no_grown_table(spark, write_nih_images, out):
    folder = write_nih_images(ALL[:2])
    split = SplitSettings("stratified", validation_share=0, test_share=0.5)
    run(spark, folder, out, split=split)
    table = folder / "Data_Entry_2017.csv"
    table.write_text(table.read_text() + "\n00000005_000.png,Hernia,0,5,058,M,PA\n")
    with pytest.raises(SplitError, match="moves patients when data grow"):
        run(spark, folder, out, split=split)


def test_patient_that_moved_between_two_calls_is_found(spark, write_nih_images, out):
    folder = write_nih_images(ALL[:1])
    run(spark, folder, out)
    write_nih_images(ALL)
    (folder / "train_val_list.txt").write_text("00000002_000.png")
    (folder / "test_list.txt").write_text("\n".join(f"{name}.png" for name in ("00000001_000", "00000001_001")))
    with pytest.raises(SplitError, match="1 patient stands in two splits"):
        run(spark, folder, out)


def test_no_prepared_set_and_a_newer_one_are_named(spark, write_nih_images, out):
    with pytest.raises(DataError, match="is no prepared set"):
        match_labels(spark, PreparedSet(out))
    run(spark, write_nih_images(ALL), out)
    from pathlib import Path

    file = Path(out) / "manifest" / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format_version": 2}))
    with pytest.raises(DataError, match="of format 2"):
        match_labels(spark, PreparedSet(out))

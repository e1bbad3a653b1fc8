"""The manifest of a prepared set on disk, whatever cut its writing off."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from radspark.errors import DataError
from radspark.labels import NIH_FINDINGS
from radspark.samples.prepared_set import Manifest, PreparedBatch, read_manifest, write_manifest
from radspark.settings import DataSettings, PreparationSettings

NO_SPARK: Any = None
"""Nothing of it is needed for a folder of this machine."""
MANIFEST = Manifest(NIH_FINDINGS, PreparationSettings(), DataSettings("nih"), synthetic=False, splits_fingerprint="0-0")


def test_manifest_comes_back(tmp_path: Path) -> None:
    written = dataclasses.replace(MANIFEST, batches={"nih-000000": PreparedBatch(3, 1, {"train": 3}, "0f" * 8)})
    assert read_manifest(NO_SPARK, str(tmp_path)) is None
    write_manifest(NO_SPARK, str(tmp_path), written)
    assert read_manifest(NO_SPARK, str(tmp_path)) == written


def test_manifest_that_a_kill_left_under_its_first_name_counts(tmp_path: Path) -> None:
    write_manifest(NO_SPARK, str(tmp_path), MANIFEST)
    (tmp_path / "manifest").rename(tmp_path / ".manifest.partial")
    assert read_manifest(NO_SPARK, str(tmp_path)) == MANIFEST


def test_first_manifest_that_was_cut_short_is_none(tmp_path: Path) -> None:
    (tmp_path / ".manifest.partial").mkdir()
    (tmp_path / ".manifest.partial" / "manifest.json").write_text('{"format_version": 1, "lab')
    assert read_manifest(NO_SPARK, str(tmp_path)) is None


def test_damaged_manifest_is_an_error_and_no_other_is_taken(tmp_path: Path) -> None:
    write_manifest(NO_SPARK, str(tmp_path), MANIFEST)
    (tmp_path / "manifest").rename(tmp_path / ".manifest.partial")
    (tmp_path / "manifest").mkdir()
    (tmp_path / "manifest" / "manifest.json").write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        read_manifest(NO_SPARK, str(tmp_path))

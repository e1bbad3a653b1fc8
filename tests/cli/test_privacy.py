"""What radspark writes by itself names no patient: a keyed hash stands for them, and only tables name files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from radspark.identifiers import get_identifiers
from spark_jobs import spark_plans

if TYPE_CHECKING:
    from command_line import Radspark, Trained

pytestmark = pytest.mark.spark

TABLES = {"predictions.parquet", "unreadable.csv"}
"""Files that are asked for to name radiographs."""
IMAGE_ID = re.compile(rb"0000000\d_\d{3}")
"""Names of files in the small data set: the patient's number, and which of the patient's images."""


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name not in TABLES]


def test_no_file_of_a_run_but_its_tables_holds_a_patients_number(trained: Trained) -> None:
    files = files_below(trained.run)
    assert {"report.html", "history.json", "recipe.toml", "config.json"} <= {file.name for file in files}
    assert [file.name for file in files if IMAGE_ID.search(file.read_bytes())] == []
    assert [file.name for file in trained.run.rglob("*") if IMAGE_ID.search(file.name.encode())] == []


def test_patients_of_the_predictions_are_hashed_unless_asked_for(
    trained: Trained, nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    words = ["evaluate", "--bundle", trained.run / "bundle", "--dataset", "nih", "--data-dir", nih_data]
    patients = {}
    for policy in ("hash", "keep", "drop"):
        out = tmp_path / policy
        outcome = radspark(*words, "--out", out, "--bootstrap", 0, "--identifiers", policy)
        assert outcome.code == 0, outcome.err
        patients[policy] = pq.read_table(out / "predictions.parquet")["patient_id"].to_pylist()
        assert [file.name for file in files_below(out) if IMAGE_ID.search(file.read_bytes())] == []
    plans = spark_plans()
    assert any("Scan binaryFile" in plan for plan in plans)
    assert [plan for plan in plans if IMAGE_ID.search(plan.encode())] == []
    hash_one = get_identifiers("hash")
    assert patients["hash"] == [hash_one(patient) for patient in patients["keep"]]
    assert set(patients["drop"]) == {None}


def test_unknown_policy_is_one_sentence(tmp_path: Path, radspark: Radspark) -> None:
    outcome = radspark("evaluate", "--out", tmp_path, "--identifiers", "hide")
    assert outcome.sentence == "error: identifiers must be one of drop, hash, keep, got 'hide'."

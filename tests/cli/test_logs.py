"""File names can carry patient numbers: they stand in tables and files that were asked for, never in a log."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from radspark.cli.failures import describe_spark_failure

if TYPE_CHECKING:
    from command_line import Radspark, Trained

BAD = "00000004_000"


@pytest.mark.parametrize(
    "path",
    [
        "file:/data/images/00000004_000.png",
        "hdfs://node:8020/data/John Smith 00000004_000.png",
        "/data/John Smith/00000004_000.png (No such file or directory)",
    ],
)
def test_a_failure_of_spark_is_told_without_the_file_that_it_names(path: str) -> None:
    text = (
        "An error occurred while calling o120.collectToPython.\n: org.apache.spark.SparkException: Job aborted due to "
        "stage failure: Task 0 in stage 1.0 failed 1 times, most recent failure: Lost task 0.0 in stage 1.0 (TID 1) "
        f"(127.0.0.1 executor driver): java.io.FileNotFoundException: File {path}"
    )
    said = describe_spark_failure(Exception(text))
    assert said.startswith("Spark failed: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0")
    assert said.endswith("java.io.FileNotFoundException: File [a path] (--debug shows where)")


@pytest.mark.spark
def test_no_command_logs_the_name_of_a_bad_file(
    trained: Trained, tmp_path: Path, radspark: Radspark, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "data"
    shutil.copytree(trained.data, data)
    (data / "images" / f"{BAD}.png").write_bytes(b"cut")
    (data / "images" / "00000008_000.png").write_bytes(b"")
    (data / "images" / "00000009_000.png").unlink()
    common = ["--dataset", "nih", "--data-dir", data, "--debug"]
    bundle = ["--bundle", trained.run / "bundle"]
    with caplog.at_level(logging.DEBUG, logger="radspark"), caplog.at_level(logging.WARNING):
        outcomes = [
            radspark("data", "check", *common, "--out", tmp_path / "check"),
            radspark("evaluate", *common, *bundle, "--out", tmp_path / "test"),
            radspark("predict", *bundle, data / "images", "--out", tmp_path / "scores.csv", "--debug"),
        ]
    assert [outcome.code for outcome in outcomes] == [3, 0, 3]
    said = [trained.outcome.err, trained.outcome.out, *caplog.messages]
    said += [stream for outcome in outcomes for stream in (outcome.out, outcome.err)]
    assert any("cannot be read" in text for text in said)
    assert [text for text in said if "0000000" in text.replace(str(tmp_path), "")] == []

"""One trained run and one sound data set for all tests of the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from command_line import Radspark, Trained, run_radspark, train_words
from small_nih import write_nih

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def radspark() -> Radspark:
    """Runs a command line; gives code, stdout and stderr."""
    return run_radspark


@pytest.fixture(scope="session")
def nih_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data set; not to be changed."""
    return write_nih(tmp_path_factory.mktemp("nih"))


@pytest.fixture(scope="session")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A run on a data set with one unreadable training image and a batch larger than the data; not to be changed."""
    data = write_nih(tmp_path_factory.mktemp("nih-with-a-bad-file"))
    (data / "images" / "00000001_000.png").write_bytes(b"not a PNG")
    run = tmp_path_factory.mktemp("runs") / "first"
    return Trained(run, data, run_radspark(*train_words(data, run, "--max-unreadable", 0.1)))

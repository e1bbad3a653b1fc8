"""Ctrl-C during a training, and going on from where it was."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import train_words

if TYPE_CHECKING:
    from command_line import Radspark
    from pyspark.sql import SparkSession

pytestmark = [pytest.mark.spark, pytest.mark.cluster, pytest.mark.timeout(600)]
PATIENCE_SECONDS = 300


def wait_for_epoch(process: subprocess.Popen[str], run: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not list(run.glob("checkpoints/step-*")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint in time"
        time.sleep(0.2)


def test_ctrl_c_says_how_to_go_on_and_the_run_goes_on(
    spark: SparkSession, nih_data: Path, tmp_path: Path, radspark: Radspark
) -> None:
    run = tmp_path / "run"
    words = [str(word) for word in train_words(nih_data, run, "--epochs", 500, "--master", "local[2]")]
    command = [sys.executable, "-c", "from radspark.cli.main import run; run()", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        wait_for_epoch(process, run)
        os.killpg(process.pid, signal.SIGINT)  # A terminal sends it to all processes of the command.
        out, err = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert [line for line in err.splitlines() if not line.startswith("warning: ")] == []
    assert "stopped; the last checkpoint is whole. To go on:\n" in out
    name, *told = shlex.split(out.splitlines()[-1])
    assert (name, told[-1]) == ("radspark", "--resume")
    done = max(int(path.name.split("-")[1]) for path in run.glob("checkpoints/step-*"))
    outcome = radspark(*told, "--epochs", done + 1)
    assert outcome.code == 0, outcome.err
    assert f"going on after step {done}" in outcome.out
    assert len(json.loads((run / "history.json").read_text())["epochs"]) == done + 1

"""`radspark plan`: the table, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from radspark.planning.machine import REFERENCE, save_machine

if TYPE_CHECKING:
    from command_line import Radspark

SMALL = ("plan", "--backbone", "resnet18", "--crop-size", 64, "--images", 1000, "--nodes", 2, "--cores", 4)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")


def test_the_plan_tells_layout_speed_hours_and_what_to_paste(radspark: Radspark) -> None:
    outcome = radspark(*SMALL, "--memory", 16, "--batch-size", 64)
    assert outcome.code == 0, outcome.err
    rows = {line.split("  ")[0].strip(): line for line in outcome.out.splitlines() if line}
    assert rows["executors"].split()[1] == "2"
    assert rows["batch"].split()[1] == "64"
    assert {"images per second", "in all", "synchronization", "executors = nodes"} <= set(rows)
    assert "--conf spark.executor.cores=4" in outcome.out and "--batch-size 64 --shards 8" in outcome.out


def test_a_file_of_figures_is_read(radspark: Radspark, tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    save_machine(replace(REFERENCE, measured="node 7"), file)
    assert "figures: node 7" in radspark(*SMALL, "--memory", 16, "--machine", file).out


def test_a_worker_for_each_gpu_is_planned_and_asked_for(radspark: Radspark, tmp_path: Path) -> None:
    file = tmp_path / "node.json"
    save_machine(replace(REFERENCE, device="cuda"), file)
    said = radspark(*SMALL, "--memory", 16, "--gpus", 2, "--machine", file).out
    assert "--conf spark.executor.cores=2" in said and "--conf spark.executor.resource.gpu.amount=2" in said
    assert "--shards 4 --device cuda" in said


def test_gpus_are_not_planned_with_a_processors_figures(radspark: Radspark) -> None:
    assert "--calibrate --gpus 2" in radspark(*SMALL, "--memory", 16, "--gpus", 2).sentence


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--backbone", "resnet5"), "the nearest are"),
        (("--optimizer", "adams"), "--optimizer must be one of sgd, adam"),
        (("--machine", "none.json"), "none.json does not hold a machine's figures"),
        (("--nodes", 0), "nodes must be above 0, got 0"),
        (("--epochs", 0), "epochs must be at least 1, got 0"),
    ],
)
def test_a_wrong_choice_is_one_sentence(radspark: Radspark, flags: tuple[object, ...], said: str) -> None:
    assert said in radspark(*SMALL, "--memory", 16, *flags).sentence

"""Which device a worker gets, and what is said where a GPU is asked for and none is there."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch

from radspark.engine import slots
from radspark.engine.devices import check_device, device_at, give_back_memory, take_device
from radspark.engine.jobs import worker_profile
from radspark.engine.slots import choose_num_workers
from radspark.errors import SetupError
from radspark.settings import TrainingSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def session(master: str, conf: dict[str, str] | None = None) -> Any:
    """As much of one as tells where it runs and what it was asked for."""
    return SimpleNamespace(sparkContext=SimpleNamespace(master=master, getConf=lambda: conf or {}))


def task(number: int, gpus: list[str] | None = None) -> Any:
    """A task's context, and what Spark granted."""
    granted = {} if gpus is None else {"gpu": SimpleNamespace(addresses=gpus)}
    return SimpleNamespace(partitionId=lambda: number, resources=lambda: granted)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Two, by name alone; those that were taken."""
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    return taken


@pytest.mark.parametrize(
    ("context", "number"),
    [(task(0, ["1"]), 1), (task(1, ["0"]), 0), (task(1), 1)],
    ids=["granted", "granted another", "embedded"],
)
def test_a_worker_takes_the_gpu_that_spark_granted_or_that_of_its_number(
    gpus: list[torch.device], context: Any, number: int
) -> None:
    assert take_device("cuda", context) == torch.device("cuda", number)
    assert gpus == [torch.device("cuda", number)]


def test_a_worker_on_processors_takes_no_gpu(gpus: list[torch.device]) -> None:
    assert take_device("cpu", task(0, ["1"])) == torch.device("cpu")
    assert gpus == []


@pytest.mark.parametrize("address", ["2", "GPU-5a1b"])
def test_a_gpu_that_torch_cannot_use_is_named(address: str) -> None:
    with pytest.raises(SetupError, match=f"was granted GPU {address}, and torch finds 2 on its machine; .*take device"):
        device_at(address, num_devices=2)


@pytest.mark.parametrize(
    ("spark", "said"),
    [
        (session("local[2]"), "torch finds none on this machine; .*, or take device cpu"),
        (session("yarn"), "give --conf spark.executor.resource.gpu.amount=1"),
        (session("yarn", {"spark.executor.resource.gpu.amount": "0"}), "give --conf spark.executor.resource.gpu"),
        (type("Remote", (), {"__module__": "pyspark.sql.connect.session"})(), "is not for Spark Connect"),
    ],
    ids=["embedded", "not asked for", "asked for none", "Connect"],
)
def test_gpus_that_spark_cannot_grant_are_told_before_the_first_job(
    monkeypatch: pytest.MonkeyPatch, spark: Any, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SetupError, match=f"^training.device cuda .*{said}"):
        check_device(spark, "cuda")


@pytest.mark.spark
def test_an_embedded_spark_has_room_for_a_worker_on_each_gpu(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_num_workers(spark, TrainingSettings(device="cuda")) == 1
    said = r"num_workers must be at most 1 \(free task slots, and a GPU each\), got 2; .* or take device cpu"
    with pytest.raises(SetupError, match=said):
        choose_num_workers(spark, TrainingSettings(device="cuda", num_workers=2))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SetupError, match="torch finds none on this machine"):
        choose_num_workers(spark, TrainingSettings(device="cuda"))


def test_an_embedded_spark_says_once_that_it_grants_no_cores_by_stage(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slots, "count_slots", lambda *_: 2)
    spark, wide = session("local[2]"), TrainingSettings(cores_per_worker=2)
    with caplog.at_level(logging.INFO, logger="radspark.engine"):
        assert choose_num_workers(spark, wide) == 1
        assert worker_profile(spark, wide) is None, "the rounds ask again"
    assert [record.message for record in caplog.records] == [
        "this Spark has no resources by stage; workers take one task slot each"
    ]


@pytest.mark.cluster
def test_executors_have_room_for_a_workers_cores_and_gpu_and_grant_them() -> None:
    said = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("gpu_script.py"))], stdout=subprocess.PIPE, check=True
    ).stdout
    assert json.loads(said.splitlines()[-1]) == {"two cores each": 2, "a gpu each": 2, "granted": ["7", "7"]}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")
def test_memory_of_a_round_is_given_back() -> None:
    device = take_device("cuda", task(0))
    kept = torch.ones(1 << 24, device=device)
    assert kept.sum() == 1 << 24
    del kept
    give_back_memory("cuda")
    assert torch.cuda.memory_reserved(device) == 0

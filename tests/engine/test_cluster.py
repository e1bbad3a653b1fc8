"""A run survives kill -9 of what it runs on, from outside, and ends with the bits of an undisturbed one."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

EXECUTOR = "CoarseGrainedExecutorBackend"
LOCAL_CLUSTER = "local-cluster[2,1,1024]"
SHORT_ROUNDS = {"epochs": 2, "round_minutes": 1e-6}
"""Each step a round of its own."""


def children(process: subprocess.Popen[Any]) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def command_of(process: psutil.Process) -> str:
    """Its command line; nothing of one that has ended meanwhile."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


class TrainingProcess:
    """The script in a process of its own, with what it said so far."""

    def __init__(self, **choices: Any) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "train_script.py"), json.dumps(choices)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE if choices.get("fails") else None,
            text=True,
        )

    def error(self) -> str:
        """The last line of its traceback."""
        _, said = self._process.communicate()
        return said.strip().splitlines()[-1]

    def wait_for(self, line: str) -> None:
        for said in self._said():
            if said == line:
                return
        raise AssertionError(f"it ended before {line!r}: {self.lines}")

    def result(self) -> dict[str, Any]:
        """What it printed last."""
        for _ in self._said():
            pass
        assert self._process.wait() == 0, self.lines
        return dict(json.loads(self.lines[-1]))

    def kill(self, name: str) -> None:
        """SIGKILL to the newest process of the family with this in its command line."""
        found = [process for process in children(self._process) if name in command_of(process)]
        max(found, key=lambda process: process.create_time()).kill()

    def kill_at_work(self, name: str) -> None:
        """SIGKILL to a Python worker in the round, or to what it runs in: the one with this in its command line."""
        workers = [process for process in children(self._process) if "pyspark.daemon" in command_of(process)]
        busiest = max(workers, key=lambda process: len(process.net_connections()))
        next(process for process in [busiest, *busiest.parents()] if name in command_of(process)).kill()

    def kill_all(self) -> None:
        """SIGKILL to the driver and all that it started."""
        for process in [*children(self._process), psutil.Process(self._process.pid)]:
            process.kill()
        self._process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The driver's Python stands still; Spark's own processes go on."""
        self._process.send_signal(signal.SIGSTOP)
        yield
        self._process.send_signal(signal.SIGCONT)

    def _said(self) -> Iterator[str]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.strip())
            yield self.lines[-1]

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.kill_all()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="module")
def digest() -> str:
    """Of the weights of an undisturbed run, by one worker."""
    with TrainingProcess(master="local[1]", training={"epochs": 2}) as training:
        return str(training.result()["digest"])


def test_killed_executors_early_and_late_cost_rounds_and_no_bit() -> None:
    training = {"epochs": 2}
    with TrainingProcess(master="local[1]", training=training, slow=True) as undisturbed:
        digest = undisturbed.result()["digest"]
    with TrainingProcess(master=LOCAL_CLUSTER, training=training, slow=True) as process:
        for step, victim in [(1, EXECUTOR), (3, "pyspark.daemon"), (7, EXECUTOR)]:
            process.wait_for(f"step {step}")
            process.kill_at_work(victim)
        result = process.result()
    assert result["failures"] == 3
    assert result["digest"] == digest


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_twenty_kills_of_executors_and_of_their_workers_come_to_the_same_end() -> None:
    training, steps_of_epoch = {"epochs": 20}, 5
    with TrainingProcess(master="local[3]", training=training, slow=True) as undisturbed:
        digest = undisturbed.result()["digest"]
    with TrainingProcess(master="local-cluster[2,1,2048]", training=training, slow=True) as process:
        for epoch in range(20):
            process.wait_for(f"step {steps_of_epoch * epoch + 1 + epoch % (steps_of_epoch - 1)}")
            process.kill_at_work(EXECUTOR if epoch % 2 else "pyspark.daemon")
        result = process.result()
    assert result["failures"] == 20
    assert result["digest"] == digest


def test_a_killed_driver_resumes_to_the_same_bits(digest: str, tmp_path: Path) -> None:
    checkpoints = {"checkpointDir": str(tmp_path / "checkpoints")}
    with TrainingProcess(master="local[2]", training=SHORT_ROUNDS, params=checkpoints) as training:
        training.wait_for("step 6")
        training.kill_all()
    with TrainingProcess(master="local[2]", training={"epochs": 2}, params={**checkpoints, "resume": True}) as training:
        assert training.result()["digest"] == digest
        assert "step 1" not in training.lines


def test_a_standalone_worker_that_dies_is_gone_without(digest: str, standalone: ModuleType) -> None:
    with (
        standalone.Cluster(workers=2, cores=1, memory="1g") as cluster,
        TrainingProcess(master=cluster.url, training=SHORT_ROUNDS, wait=5.0) as training,
    ):
        training.wait_for("step 4")
        for process in children(cluster.workers[0]):
            process.send_signal(signal.SIGKILL)
        cluster.workers[0].kill()
        result = training.result()
    assert (result["workers"][0], result["workers"][-1]) == (2, 1)
    assert result["digest"] == digest


def test_an_executor_that_joins_is_used_from_the_next_round(digest: str, standalone: ModuleType) -> None:
    with (
        standalone.Cluster(workers=1, cores=1, memory="1g") as cluster,
        TrainingProcess(master=cluster.url, training=SHORT_ROUNDS) as training,
    ):
        training.wait_for("step 1")
        with training.paused():
            worker = cluster.add_worker()
            while not any(EXECUTOR in command_of(process) for process in children(worker)):
                time.sleep(0.2)
            time.sleep(5)
        result = training.result()
    assert (result["workers"][0], result["workers"][-1]) == (1, 2)
    assert result["digest"] == digest


def test_spark_connect_trains_scores_and_evaluates(digest: str) -> None:
    with TrainingProcess(master="connect", training={"epochs": 2}) as training:
        result = training.result()
    assert result["digest"] == digest
    assert result["workers"] == [2, 2]
    assert result["scored"] == 96
    assert 0 <= result["mean_auroc"] <= 1


def test_more_workers_than_spark_connect_has_slots_are_told(tmp_path: Path) -> None:
    with TrainingProcess(master="connect", training={"num_workers": 3}, wait=5.0, fails=True) as training:
        assert "Spark did not start 3 tasks at once within 5 s; lower num_workers" in training.error()


def test_workers_of_two_cores_take_an_executor_each(standalone: ModuleType) -> None:
    training = {"epochs": 1, "cores_per_worker": 2}
    with (
        standalone.Cluster(workers=2, cores=2, memory="1g") as cluster,
        TrainingProcess(master=cluster.url, training=training) as process,
    ):
        process.wait_for("step 2")
        busy = [w.pid for w in cluster.workers if any("pyspark.daemon" in command_of(p) for p in children(w))]
        assert process.result()["workers"] == [2]
    assert len(busy) == 2


def test_sliced_loses_an_executor_and_no_bit(digest: str) -> None:
    with TrainingProcess(master=LOCAL_CLUSTER, training={"epochs": 2, "synchronizer": "sliced"}) as training:
        training.wait_for("step 4")
        training.kill(EXECUTOR)
        assert training.result()["digest"] == digest


def test_sliced_trains_while_executors_come_and_go_by_themselves(digest: str, standalone: ModuleType) -> None:
    seconds = ["executorIdleTimeout", "cachedExecutorIdleTimeout", "shuffleTracking.timeout"]
    conf = {f"spark.dynamicAllocation.{name}": "1s" for name in seconds} | {
        "spark.dynamicAllocation.enabled": "true",
        "spark.dynamicAllocation.shuffleTracking.enabled": "true",
        "spark.dynamicAllocation.minExecutors": "1",
        "spark.dynamicAllocation.maxExecutors": "2",
        "spark.executor.cores": "1",
    }
    choices = {"epochs": 2, "synchronizer": "sliced", "num_workers": 2}
    with (
        standalone.Cluster(workers=2, cores=1, memory="1g") as cluster,
        TrainingProcess(master=cluster.url, conf=conf, training=choices) as training,
    ):
        training.wait_for("step 4")
        came = executors(cluster)
        with training.paused():
            deadline = time.monotonic() + 60
            while executors(cluster) == came and time.monotonic() < deadline:
                time.sleep(0.5)
            left = came - executors(cluster)
        result = training.result()
    assert (came, left) == (2, 1)
    assert result["digest"] == digest


def executors(cluster: Any) -> int:
    names = [command_of(process) for worker in cluster.workers for process in children(worker)]
    return sum(EXECUTOR in name for name in names)


def test_collective_refuses_executors_that_come_and_go_and_names_sliced() -> None:
    conf = {"spark.dynamicAllocation.enabled": "true", "spark.dynamicAllocation.shuffleTracking.enabled": "true"}
    with TrainingProcess(master=LOCAL_CLUSTER, conf=conf, fails=True) as training:
        assert "choose sliced" in training.error()

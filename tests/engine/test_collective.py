"""What the driver makes of a round that ends early, and which samples it sends with the next."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from radspark.engine import collective
from radspark.engine.collective import CollectiveSynchronizer
from radspark.engine.feeding import RoundJob
from radspark.engine.replies import RoundLostError
from radspark.errors import TrainingError
from radspark.settings import CacheLevel, Recipe
from radspark.training.round import RoundSpec
from radspark.training.shards import ShardPlan
from radspark.training.state import PackedState, TrainingState

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SIDE = 256
SPEC = RoundSpec(Recipe(), dict, ShardPlan((4, 4), 8, 8, seed=0), None, 0, (0.1,), 60.0)  # type: ignore[arg-type]
JOB = RoundJob(
    run_id="slow-to-fill",
    round_name="radspark round 1",
    num_workers=2,
    num_shards=2,
    image_size=SIDE,
    num_findings=1,
    samples={"train": 8},
    fed=frozenset({0, 1}),
    cores_per_worker=1,
    cache_level="none",
    cache_gb=6 * (SIDE * SIDE + 4 + 8) / 1e9,
)


class SlowSamples:
    """All but the last sample of each worker comes at once."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def feed(self, **_: Any) -> DataFrame:
        def send(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                columns = {
                    "split": ["train"] * 3,
                    "shard": batch.column("id").to_pylist() * 3,
                    "place": [0, 1, 2],
                    "key": [0] * 3,
                    "labels": pa.array([[0.0]] * 3, pa.list_(pa.float32())),
                    "pixels": [bytes(SIDE * SIDE)] * 3,
                }
                yield pa.RecordBatch.from_pydict(columns)
                time.sleep(20)

        schema = "split string, shard long, place long, key long, labels array<float>, pixels binary"
        return self._spark.range(0, 2, 1, 2).mapInArrow(send, schema)


@pytest.mark.spark
def test_why_a_worker_left_is_known_though_others_take_long_to_end(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collective, "GRACE_SECONDS", 0.5)
    synchronizer = CollectiveSynchronizer(spark, SlowSamples(spark), print, None)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="no room for the samples of a worker"):
        synchronizer.run(PackedState(b"", 0), job=JOB, spec=SPEC, description="radspark round 1")


class Attempts(CollectiveSynchronizer):
    """Instead of jobs, what they came to; `sent` are the shards that each would have sent."""

    def __init__(self, outcomes: list[list[dict[str, Any]] | RoundLostError]) -> None:
        conf = SimpleNamespace(get=lambda _, default: default)
        spark: Any = SimpleNamespace(sparkContext=SimpleNamespace(getConf=lambda: conf))
        super().__init__(spark, None, lambda _: None, None)  # type: ignore[arg-type]
        self.sent: list[set[int]] = []
        self._outcomes = outcomes

    def _attempt(self, state: PackedState, *, job: RoundJob, spec: RoundSpec) -> tuple[list[Any], bytes]:
        self.sent.append(set(job.fed))
        outcome = self._outcomes.pop(0)
        if isinstance(outcome, RoundLostError):
            raise outcome
        return outcome, bytes(state.data)


STATE = TrainingState({}, {}, step=0).pack()
DONE = [{"kind": "steps", "rank": 0, "payload": b"[]"}]
MISSING = [{"kind": "missing", "rank": rank, "payload": b"[1]"} for rank in range(2)]


@pytest.mark.parametrize(
    ("level", "sent"),
    [("disk", [{0, 1}, set(), set(), set(), {1}, set()]), ("none", [{0, 1}] * 5)],
)
def test_samples_are_sent_once_and_after_a_loss_those_that_no_worker_holds(
    level: CacheLevel, sent: list[set[int]]
) -> None:
    after_loss = [MISSING, DONE] if level == "disk" else [DONE]
    rounds = Attempts([DONE, DONE, RoundLostError("a worker is gone"), *after_loss, DONE])
    job = replace(JOB, cache_level=level)

    def run() -> None:
        rounds.run(STATE, job=job, spec=SPEC, description="")

    run()
    run()
    with pytest.raises(RoundLostError):
        run()
    run()
    run()
    assert rounds.sent == sent

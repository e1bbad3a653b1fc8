"""What the driver makes of a round that ends early."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from radspark.engine import collective
from radspark.engine.collective import CollectiveSynchronizer
from radspark.engine.feeding import RoundJob
from radspark.errors import TrainingError
from radspark.settings import Recipe
from radspark.training.round import RoundSpec
from radspark.training.shards import ShardPlan
from radspark.training.state import PackedState

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

"""Send each row to exactly the partition that a column names, on every Spark from 3.5 and on Spark Connect."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def repartition_exactly(frame: DataFrame, num_partitions: int, target: str) -> DataFrame:
    """Put rows with value i of the integer column `target` into partition i, for i in 0 to `num_partitions` - 1.

    Spark hashes the column it repartitions by; this looks up, for each partition, a key that hashes to it.
    """
    keys = _keys_by_partition(frame, num_partitions)
    key = F.element_at(F.array(*[F.lit(k) for k in keys]), F.col(target) + 1)
    return frame.repartition(num_partitions, key)


def _keys_by_partition(frame: DataFrame, num_partitions: int) -> list[int]:
    """One integer for each partition that Spark's hash partitioning sends there (coupon collecting: n ln n draws)."""
    spark = frame.sparkSession
    found: dict[int, int] = {}
    draws = 16 * num_partitions
    while len(found) < num_partitions:
        key = F.col("id").cast("int")
        rows = (
            spark.range(0, draws, 1, 1)
            .groupBy(F.pmod(F.hash(key), F.lit(num_partitions)).alias("partition"))
            .agg(F.min(key).alias("key"))
            .collect()
        )
        found = {row["partition"]: row["key"] for row in rows}
        draws *= 4
    return [found[partition] for partition in range(num_partitions)]

"""The fixed order of samples: by hash of seed and id, the same however Spark had them, dealt out by position."""

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from radspark.errors import DataError
from radspark.samples.feed import IndexedSamples, SampleColumns, index_samples
from radspark.samples.partitioning import repartition_exactly
from radspark.training.shards import shard_sizes

pytestmark = pytest.mark.spark

SCHEMA = (
    "image_id string, split string, labels array<float>, error string, path string, "
    "image struct<origin:string,height:int,width:int,nChannels:int,mode:int,data:binary>"
)


def image(value: int, side: int = 4) -> dict[str, object]:
    pixels = bytes([value % 256]) * side * side
    return {"origin": "", "height": side, "width": side, "nChannels": 1, "mode": 0, "data": pixels}


def samples(spark: SparkSession, num: int = 60, *, broken: tuple[int, ...] = (7,)) -> DataFrame:
    rows = [
        (
            f"id{i}",
            "test" if i % 10 == 9 else "validation" if i % 10 == 8 else "train",
            [float(i % 2), None if i % 3 else 1.0],
            "cut off" if i in broken else None,
            f"/somewhere/{i}.png",
            None if i in broken else image(i),
        )
        for i in range(num)
    ]
    return spark.createDataFrame(rows, SCHEMA)


def index(frame: DataFrame, seed: int = 0) -> IndexedSamples:
    return index_samples(frame, columns=SampleColumns(), num_findings=2, seed=seed, num_slots=2)


def order(indexed: IndexedSamples, split: str = "train") -> list[int]:
    """First pixel, which tells the sample, by position."""
    rows = indexed.frame.where(F.col("split") == split).orderBy("position").collect()
    assert [row["position"] for row in rows] == list(range(len(rows)))
    return [row["pixels"][0] for row in rows]


def test_the_order_does_not_depend_on_partitions(spark: SparkSession) -> None:
    one, many = index(samples(spark).coalesce(1)), index(samples(spark).orderBy(F.rand(3)).repartition(7))
    assert order(one) == order(many)
    assert one.fingerprint == many.fingerprint


def test_the_order_is_that_of_the_hash(spark: SparkSession) -> None:
    rows = samples(spark).where("split = 'train' and image is not null")
    expected = [row[0] for row in rows.orderBy(F.xxhash64(F.lit(5), "image_id")).selectExpr("image_id").collect()]
    assert [f"id{value}" for value in order(index(samples(spark), seed=5))] == expected


def test_counts_leave_out_what_cannot_be_read_and_name_it(spark: SparkSession) -> None:
    indexed = index(samples(spark, broken=(7, 8)))
    assert indexed.counts["train"].readable == 47
    assert indexed.counts["train"].unreadable == 1
    assert indexed.counts["validation"].readable == 5
    assert indexed.unreadable == (("/somewhere/7.png", "cut off"), ("/somewhere/8.png", "cut off"))


def test_label_counts_leave_out_unknown_labels(spark: SparkSession) -> None:
    counts = index(samples(spark, broken=())).counts["train"]
    values = [i for i in range(60) if i % 10 < 8]
    assert counts.positives == (sum(i % 2 for i in values), sum(i % 3 == 0 for i in values))
    assert counts.negatives == (sum(i % 2 == 0 for i in values), 0)


@pytest.mark.parametrize("num_workers", [1, 2, 3])
def test_each_worker_is_fed_its_own_shards(spark: SparkSession, num_workers: int) -> None:
    indexed = index(samples(spark))
    fed = indexed.feed(num_shards=5, num_workers=num_workers, shards=range(5)).withColumn(
        "worker", F.spark_partition_id()
    )
    rows = fed.where("split = 'train'").collect()
    expected = order(indexed)
    assert {row["pixels"][0] for row in rows} == set(expected)
    for row in rows:
        assert expected[row["place"] * 5 + row["shard"]] == row["pixels"][0]
        assert row["worker"] == next(w for w in range(num_workers) if row["shard"] < 5 * (w + 1) // num_workers)
    sizes = np.bincount([row["shard"] for row in rows], minlength=5)
    assert tuple(sizes) == shard_sizes(len(expected), 5)


def test_only_what_is_missing_is_fed_again(spark: SparkSession) -> None:
    fed = index(samples(spark)).feed(num_shards=4, num_workers=2, shards={3})
    assert {(row["split"], row["shard"]) for row in fed.collect()} == {("train", 3), ("validation", 3)}


def test_the_fingerprint_sees_a_changed_label(spark: SparkSession) -> None:
    changed = samples(spark).withColumn(
        "labels", F.when(F.col("image_id") == "id2", F.array(F.lit(1.0), F.lit(1.0))).otherwise(F.col("labels"))
    )
    assert index(samples(spark)).fingerprint != index(changed).fingerprint


def test_no_readable_training_image_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(DataError, match="no readable training image"):
        index(samples(spark, 20, broken=tuple(range(20))))


def test_images_of_several_sizes_are_an_error(spark: SparkSession) -> None:
    odd = spark.createDataFrame([("x", "train", [0.0, 1.0], None, "/x.png", image(1, side=8))], SCHEMA)
    with pytest.raises(DataError, match="found 4 x 4, 8 x 8"):
        index(samples(spark).unionAll(odd))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("x", "train", [0.0], None, "/x.png", image(1)), "must have 2 labels, 1 have another"),
        (("x", "train", None, None, "/x.png", image(1)), "must have 2 labels, 1 have another"),
        (("x", "train", [0.0, -1.0], None, "/x.png", image(1)), "must be 1, 0 or null"),
        (("x", "train", [0.0, float("nan")], None, "/x.png", image(1)), "must be 1, 0 or null"),
        (("x", "validation", [0.0, 0.5], None, "/x.png", image(1)), "for training alone"),
        ((None, "train", [0.0, 1.0], None, "/x.png", image(1)), "1 have none"),
        (("id3", "train", [0.0, 1.0], None, "/x.png", image(1)), "1 ids occur more than once"),
        (("id3", "validation", [0.0, 1.0], None, "/x.png", image(1)), "1 ids occur more than once"),
        (("x", "train", [0.0, 1.0], None, "/x.png", {**image(1), "nChannels": 3, "mode": 16}), "8-bit grey"),
        (("x", "train", [0.0, 1.0], None, "/x.png", {**image(1), "data": bytes(15)}), "8-bit grey"),
    ],
)
def test_what_training_would_take_for_something_else_is_refused(
    spark: SparkSession, row: tuple[object, ...], message: str
) -> None:
    before = len(spark.sparkContext._jsc.getPersistentRDDs())
    with pytest.raises(DataError, match=message):
        index(samples(spark).unionAll(spark.createDataFrame([row], SCHEMA)))
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == before


def test_labels_between_0_and_1_may_be_trained_on(spark: SparkSession) -> None:
    row = ("x", "train", [0.0, 0.7], None, "/x.png", image(1))
    assert index(samples(spark).unionAll(spark.createDataFrame([row], SCHEMA))).counts["train"].readable == 48


def test_release_gives_back_sparks_disks(spark: SparkSession) -> None:
    before = len(spark.sparkContext._jsc.getPersistentRDDs())
    indexed = index(samples(spark))
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == before + 1
    indexed.release()
    assert len(spark.sparkContext._jsc.getPersistentRDDs()) == before


@pytest.mark.parametrize("num_partitions", [1, 2, 7, 40])
def test_rows_land_in_the_partition_that_they_name(spark: SparkSession, num_partitions: int) -> None:
    frame = spark.range(200).selectExpr(f"cast(id % {num_partitions} as int) as target")
    placed = repartition_exactly(frame, num_partitions, "target").withColumn("found", F.spark_partition_id())
    assert placed.where("target != found").count() == 0
    assert placed.count() == 200

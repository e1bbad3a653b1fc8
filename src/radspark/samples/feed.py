"""What a worker is fed: samples decoded once, put into the order of hash(seed, image_id), and dealt out as shards.

Position p of a split, in that order, is sample p // V of shard p mod V. Nothing of it depends on partitions or workers.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from radspark.errors import DataError
from radspark.frames.described import described
from radspark.samples.partitioning import repartition_exactly
from radspark.training.shards import shards_of_worker

SPLITS = ("train", "validation")
INDEX_BITS = 33
"""monotonically_increasing_id keeps the row's number within its partition in its lowest 33 bits."""
UNREADABLE_SHOWN = 100_000
"""Most unreadable images that come to the driver by name."""


@dataclass(frozen=True)
class SampleColumns:
    """Names of the columns of a samples DataFrame."""

    image: str = "image"
    labels: str = "labels"
    image_id: str = "image_id"
    split: str | None = "split"
    """Rows of other splits than train and validation are left out; None: all rows train."""


@dataclass(frozen=True)
class SplitCounts:
    """What the samples of one split hold; findings in label order."""

    readable: int
    unreadable: int
    positives: tuple[int, ...]
    negatives: tuple[int, ...]


@dataclass(frozen=True)
class IndexedSamples:
    """Decoded samples on Spark's disks with their place in the fixed order."""

    frame: DataFrame
    decoded: DataFrame
    """What `frame` is made from and Spark keeps."""
    image_size: int
    num_findings: int
    counts: dict[str, SplitCounts]
    """By split; both splits are there, if only with zeros."""
    fingerprint: str
    """Of ids, splits, labels and what is readable, whatever the order: a resumed run must meet the same."""
    unreadable: tuple[tuple[str, str], ...]
    """Path (or image id) and error."""

    def feed(self, *, num_shards: int, num_workers: int, shards: Collection[int]) -> DataFrame:
        """The samples of some shards, addressed to workers: partition w holds those that rank w takes."""
        worker_of_shard = [0] * num_shards
        for worker in range(num_workers):
            for shard in shards_of_worker(worker, num_shards=num_shards, num_workers=num_workers):
                worker_of_shard[shard] = worker
        placed = self.frame.withColumns(
            {
                "shard": (F.col("position") % num_shards).cast("int"),
                "place": F.floor(F.col("position") / num_shards).cast("long"),
            }
        )
        if len(shards) < num_shards:
            placed = placed.where(F.col("shard").isin(*shards))
        workers = F.array(*[F.lit(worker) for worker in worker_of_shard])
        addressed = placed.withColumn("worker", F.element_at(workers, F.col("shard") + 1))
        return repartition_exactly(addressed, num_workers, "worker").select(
            "split", "shard", "place", "key", "labels", "pixels"
        )

    def release(self) -> None:
        """Give back Spark's disk space."""
        self.decoded.unpersist()


def index_samples(
    samples: DataFrame, *, columns: SampleColumns, num_findings: int, seed: int, num_slots: int
) -> IndexedSamples:
    """Decode the training and validation samples once and fix their order.

    Args:
        num_slots: tasks that can run at once; the samples are kept in about four partitions for each.

    Raises:
        DataError: no readable training image; images that are not square, 8-bit grey and of one size; labels of another
            length or outside their range; an id that is null or occurs twice.
    """
    bucket_bits = max(3, (4 * num_slots - 1).bit_length())
    with described(samples.sparkSession, "radspark: decoding the samples, once"):
        ordered = _ordered(_select(samples, columns), seed=seed, bucket_bits=bucket_bits)
        ordered = ordered.persist(StorageLevel.DISK_ONLY)
        try:
            return _index(ordered, num_findings)
        except BaseException:
            ordered.unpersist()
            raise


def _index(ordered: DataFrame, num_findings: int) -> IndexedSamples:
    rows = _count(ordered, num_findings)
    if not any(row["split"] == "train" and row["is_readable"] for row in rows):
        raise DataError("no readable training image: check the split column and `radspark data check`.")
    _check_rows(rows, num_findings)
    image_size = _the_image_size(rows)
    if (repeated := ordered.groupBy("bucket", "image_id").count().where("count > 1").count()) > 0:
        raise DataError(f"each sample must have an id of its own; {repeated} ids occur more than once.")
    return IndexedSamples(
        frame=_with_positions(ordered, rows),
        decoded=ordered,
        image_size=image_size,
        num_findings=num_findings,
        counts={split: _split_counts(rows, split, num_findings) for split in SPLITS},
        fingerprint=_fingerprint(rows),
        unreadable=_unreadable(ordered),
    )


def _select(samples: DataFrame, columns: SampleColumns) -> DataFrame:
    split = F.lit("train") if columns.split is None else F.col(columns.split)
    named = [name for name in ("path", columns.image_id) if name in samples.columns]
    error = F.col("error") if "error" in samples.columns else F.lit("no image").alias("error")
    image = F.col(columns.image)
    return samples.select(
        F.col(columns.image_id).cast("string").alias("image_id"),
        split.alias("split"),
        F.col(columns.labels).cast("array<float>").alias("labels"),
        image["data"].alias("pixels"),
        image["height"].alias("height"),
        image["width"].alias("width"),
        ((image["nChannels"] == 1) & (image["mode"] == 0)).alias("is_grey"),
        F.when(image.isNull(), F.coalesce(error, F.lit("no image"))).alias("error"),
        F.when(image.isNull(), F.col(named[0]).cast("string")).alias("named"),
    ).where(F.col("split").isin(*SPLITS))


def _ordered(selected: DataFrame, *, seed: int, bucket_bits: int) -> DataFrame:
    """Rows sorted by (bucket, split, readable, hash), with each row's index within its bucket."""
    num_buckets = 1 << bucket_bits
    order = F.xxhash64(F.lit(seed), F.col("image_id"))
    hashed = selected.withColumns(
        {
            "order": order,
            "bucket": (F.shiftright(order, 64 - bucket_bits) + (num_buckets >> 1)).cast("int"),
            "key": F.xxhash64("image_id"),
            "is_readable": F.col("pixels").isNotNull(),
        }
    )
    placed = repartition_exactly(hashed, num_buckets, "bucket").sortWithinPartitions(
        "split", "is_readable", "order", "image_id"
    )
    row_number = F.monotonically_increasing_id().bitwiseAND(F.lit((1 << INDEX_BITS) - 1))
    return placed.withColumn("row_number", row_number)


def _count(ordered: DataFrame, num_findings: int) -> list[Any]:
    def total(value: float, finding: int) -> Any:
        return F.sum((F.get("labels", F.lit(finding)) == value).cast("long"))

    def number(condition: Any) -> Any:
        return F.sum(condition.cast("long"))

    is_whole = F.col("is_grey") & (F.length("pixels") == F.col("height") * F.col("width"))
    identity = F.xxhash64("image_id", "split", "labels", "is_readable")
    return (
        ordered.groupBy("bucket", "split", "is_readable")
        .agg(
            F.count(F.lit(1)).alias("count"),
            F.min("row_number").alias("first_row"),
            F.bit_xor(identity).alias("fingerprint"),
            F.collect_set(F.struct("height", "width")).alias("sizes"),
            number(F.col("image_id").isNull()).alias("null_ids"),
            number(F.col("is_readable") & ~is_whole).alias("not_grey"),
            number(F.coalesce(F.size("labels") != num_findings, F.lit(True))).alias("wrong_lengths"),
            number(F.exists("labels", _is_no_label)).alias("wrong_values"),
            number(F.exists("labels", _is_uncertain)).alias("uncertain"),
            F.array(*[total(1.0, i) for i in range(num_findings)]).alias("positives"),
            F.array(*[total(0.0, i) for i in range(num_findings)]).alias("negatives"),
        )
        .orderBy("bucket", "split")
        .collect()
    )


def _is_no_label(value: Column) -> Column:
    """NaN is above all numbers in Spark; null is an unknown label."""
    return (value < 0.0) | (value > 1.0)


def _is_uncertain(value: Column) -> Column:
    return (value > 0.0) & (value < 1.0)


def _check_rows(rows: list[Any], num_findings: int) -> None:
    """Refuse samples that training would take for something else than they are."""

    def total(name: str, split: str | None = None) -> int:
        return sum(row[name] or 0 for row in rows if split in (None, row["split"]))

    if count := total("null_ids"):
        raise DataError(f"each sample must have an id of its own; {count} have none.")
    if count := total("not_grey"):
        raise DataError(
            f"images must be 8-bit grey, one channel, mode 0, as read_images makes them; {count} are something else."
        )
    if count := total("wrong_lengths"):
        raise DataError(f"every sample must have {num_findings} labels, {count} have another number or none.")
    if count := total("wrong_values"):
        raise DataError(f"a label must be 1, 0 or null (unknown), {count} samples have other values.")
    if count := total("uncertain", "validation"):
        raise DataError(
            f"labels between 0 and 1 are for training alone, {count} validation samples have some; "
            "make them 0, 1 or null."
        )


def _with_positions(ordered: DataFrame, rows: list[Any]) -> DataFrame:
    """Add `position`: the row's place among the readable samples of its split, over all buckets."""
    next_position = dict.fromkeys(SPLITS, 0)
    offsets = []
    for row in rows:
        if row["is_readable"]:
            offsets.append((row["bucket"], row["split"], next_position[row["split"]] - row["first_row"]))
            next_position[row["split"]] += row["count"]
    table = ordered.sparkSession.createDataFrame(offsets, "bucket int, split string, offset long")
    return (
        ordered.where("is_readable")
        .join(F.broadcast(table), ["bucket", "split"])
        .withColumn("position", F.col("row_number") + F.col("offset"))
        .select("split", "position", "key", "labels", "pixels")
    )


def _the_image_size(rows: list[Any]) -> int:
    sizes = {(size["height"], size["width"]) for row in rows if row["is_readable"] for size in row["sizes"]}
    if len(sizes) > 1 or any(height != width for height, width in sizes):
        shown = ", ".join(f"{height} x {width}" for height, width in sorted(sizes)[:3])
        raise DataError(f"all images must be squares of one size, found {shown}; read them with read_images(size=...).")
    return int(sizes.pop()[0])


def _split_counts(rows: list[Any], split: str, num_findings: int) -> SplitCounts:
    readable = [row for row in rows if row["split"] == split and row["is_readable"]]
    return SplitCounts(
        readable=sum(row["count"] for row in readable),
        unreadable=sum(row["count"] for row in rows if row["split"] == split and not row["is_readable"]),
        positives=tuple(sum(row["positives"][i] or 0 for row in readable) for i in range(num_findings)),
        negatives=tuple(sum(row["negatives"][i] or 0 for row in readable) for i in range(num_findings)),
    )


def _fingerprint(rows: list[Any]) -> str:
    combined = 0
    for row in rows:
        combined ^= row["fingerprint"]
    return f"{sum(row['count'] for row in rows)}-{combined & (1 << 64) - 1:016x}"


def _unreadable(ordered: DataFrame) -> tuple[tuple[str, str], ...]:
    rows = ordered.where("not is_readable").select("named", "error").limit(UNREADABLE_SHOWN).collect()
    return tuple(sorted((row["named"], row["error"]) for row in rows))

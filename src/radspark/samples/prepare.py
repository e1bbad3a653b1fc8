"""Prepares the radiographs of data folders into a prepared set: batch by batch, resumable, each file exactly once.

Spark's Structured Streaming remembers which files were seen; a batch that was cut off is written again in its place.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.errors import StreamingQueryException
from pyspark.sql import Observation
from pyspark.sql import functions as F

from radspark.datasets.columns import stem
from radspark.datasets.phantom.mark import is_synthetic
from radspark.datasets.reading import Source, read_labels
from radspark.datasets.schema import SPLITS, LabelTable
from radspark.datasets.splits import check_no_leak, fingerprint_splits, get_split_policy
from radspark.datasets.tables import list_files
from radspark.errors import RadsparkError, SplitError
from radspark.frames.reader import read_images
from radspark.samples.combine import Findings, choose_findings, describe_data, id_prefixes, unify
from radspark.samples.files import NAME_FILTER, images_pattern, preference
from radspark.samples.prepared_set import (
    QUARANTINE_SCHEMA,
    SAMPLE_SCHEMA,
    Manifest,
    PreparedBatch,
    read_manifest,
    read_quarantine,
    read_samples,
    write_manifest,
)
from radspark.settings import PreparationSettings, SplitSettings, require, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

MAX_FILE_AGE = "36500d"
"""Spark's file stream would pass over files that are a week older than the newest one it has seen."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """One source on its way into a prepared set."""

    source: Source
    prefix: str
    """Before the ids of its images; empty where it is the only source."""
    table: LabelTable
    """Its frame is as it will be written: ids and labels as all sources have them."""
    failures: list[RadsparkError] = dataclasses.field(default_factory=list)
    """What ended its stream; Spark passes on the text alone."""

    @property
    def name(self) -> str:
        """Of its batches and its checkpoint."""
        return self.prefix.rstrip("/") or self.source.dataset

    @property
    def pattern(self) -> str:
        """Glob of its radiographs' folders."""
        return images_pattern(self.source.data_dir, self.table.images)


def prepare_samples(
    spark: SparkSession,
    sources: Source | Sequence[Source],
    out: str,
    *,
    preparation: PreparationSettings | None = None,
    split: SplitSettings | None = None,
    findings: Findings = "common",
    files_per_batch: int = 10_000,
    watch_seconds: float | None = None,
) -> Manifest:
    """Prepare what is there and not prepared yet; the same call again goes on where it was cut off, or adds new files.

    A file that is refused (unreadable, without a label, a second one of an image) stands in the quarantine with the
    reason, and is not tried again.

    Args:
        out: folder of the prepared set, on any file system that Spark writes.
        files_per_batch: most files between two states that last.
        watch_seconds: look for new files so often until the streams are stopped, rather than once. Files must then
            appear whole (moved into the folder), with their rows in the label table as it was at the start.

    Raises:
        ValueError: the prepared set was begun with other choices.
        SplitError: patients stand in two splits; or the split is one that moves when data grow, and they grew.
        LabelTableError, DataError: as `load_samples`.
    """
    require(files_per_batch >= 1, f"files_per_batch must be at least 1, got {files_per_batch}.")
    out = out.rstrip("/")
    parts = _begin(
        spark, sources, out, Choices(preparation or PreparationSettings(), split or SplitSettings(), findings)
    )
    try:
        queries = []
        for part in parts:
            query = _start(spark, part, out, files_per_batch=files_per_batch, watch_seconds=watch_seconds)
            queries.append(query)
            if watch_seconds is None:
                _wait(query, part)
                _add_unseen(spark, part, out)
        for query, part in zip(queries, parts, strict=True):
            _wait(query, part)
    finally:
        for part in parts:
            part.table.frame.unpersist()
    manifest = read_manifest(spark, out)
    assert manifest is not None, "it was written at the beginning"
    if not get_split_policy(manifest.data.split.policy).leaks_patients:
        check_no_leak(read_samples(spark, out, manifest))
    return manifest


@dataclasses.dataclass(frozen=True)
class Choices:
    """What all of a prepared set is made by."""

    preparation: PreparationSettings
    split: SplitSettings
    findings: Findings


def _begin(spark: SparkSession, sources: Source | Sequence[Source], out: str, choices: Choices) -> list[_Part]:
    """Read the label tables; write a manifest, or check that the one that is there was made by the same choices."""
    several = [sources] if isinstance(sources, Source) else list(sources)
    tables = [read_labels(spark, source, split=choices.split) for source in several]
    labels = choose_findings([table.labels for table in tables], choices.findings, names=[s.dataset for s in several])
    prefixes = id_prefixes(several)
    parts = []
    for source, prefix, table in zip(several, prefixes, tables, strict=True):
        frame = unify(table.frame, table.labels, labels, prefix=prefix).persist(StorageLevel.DISK_ONLY)
        parts.append(_Part(source, prefix, dataclasses.replace(table, frame=frame)))
    everyone = functools.reduce(lambda left, right: left.unionByName(right), (part.table.frame for part in parts))
    data = describe_data(several, choices.split)
    synthetic = any(is_synthetic(spark, source.data_dir) for source in several)
    planned = Manifest(labels, choices.preparation, data, synthetic, fingerprint_splits(everyone))
    found = read_manifest(spark, out)
    if found is not None:
        check_same_choices(found, planned, out)
    write_manifest(spark, out, planned if found is None else dataclasses.replace(planned, batches=found.batches))
    return parts


def check_same_choices(found: Manifest, planned: Manifest, out: str) -> None:
    """Check that more samples may join a prepared set.

    Raises:
        ValueError: other findings, preparation, data sets, rules or split.
        SplitError: patients who are in it would be in another split now.
    """
    pairs = {
        "findings": (list(found.labels), list(planned.labels)),
        "preparation": (to_dict(found.preparation), to_dict(planned.preparation)),
        "data": (to_dict(found.data), to_dict(planned.data)),
    }
    for name, (theirs, ours) in pairs.items():
        require(
            theirs == ours,
            f"{out} was begun with {name} {theirs}, got {ours}; make the same choices, or prepare into another folder.",
        )
    policy = get_split_policy(found.data.split.policy)
    if not policy.is_stable and found.splits_fingerprint != planned.splits_fingerprint:
        raise SplitError(
            f"the label table changed since {out} was begun, and split_policy={policy.name!r} moves patients when data "
            "grow; prepare into another folder, or use split_policy='patient'."
        )


def _start(
    spark: SparkSession, part: _Part, out: str, *, files_per_batch: int, watch_seconds: float | None
) -> StreamingQuery:
    stream = (
        spark.readStream.format("binaryFile")
        .schema("path string, modificationTime timestamp, length long, content binary")
        .option("recursiveFileLookup", True)
        .option("pathGlobFilter", NAME_FILTER)
        .option("maxFilesPerTrigger", files_per_batch)
        .option("maxFileAge", MAX_FILE_AGE)
        .load(part.pattern)
        .select("path")
    )

    def write(batch: DataFrame, batch_id: int) -> None:
        paths = [row["path"] for row in batch.collect()]
        try:
            add_batch(spark, part, out, paths, name=f"{part.name}-{batch_id:06d}")
        except RadsparkError as error:
            part.failures.append(error)
            raise

    writer = stream.writeStream.foreachBatch(write).option("checkpointLocation", f"{out}/checkpoints/{part.name}")
    if watch_seconds is None:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{watch_seconds} seconds").start()


def _wait(query: StreamingQuery, part: _Part) -> None:
    try:
        query.awaitTermination()
    except StreamingQueryException:
        if part.failures:
            raise part.failures[0] from None
        raise
    finally:
        query.stop()


def _add_unseen(spark: SparkSession, part: _Part, out: str) -> None:
    """Files that Spark's stream passes over in silence, those of zero bytes, get their row in the quarantine too."""
    manifest = read_manifest(spark, out)
    assert manifest is not None, "it was written at the beginning"
    paths = list_files(spark, part.pattern, name_filter=NAME_FILTER)
    own = [batch for name, batch in manifest.batches.items() if name.startswith(f"{part.name}-")]
    if len(paths) <= sum(batch.samples + batch.refused for batch in own):
        return
    files = _with_image_ids(spark, paths, part)
    unseen = files.join(read_samples(spark, out, manifest).select("image_id"), "image_id", "left_anti")
    unseen = unseen.join(read_quarantine(spark, out, manifest).select("path"), "path", "left_anti")
    missed = [row["path"] for row in unseen.select("path").collect()]
    if missed:
        number = sum(name.startswith(f"{part.name}-unseen-") for name in manifest.batches)
        add_batch(spark, part, out, missed, name=f"{part.name}-unseen-{number:06d}")


def _with_image_ids(spark: SparkSession, paths: Sequence[str], part: _Part) -> DataFrame:
    """`path, image_id, preference`, lowest for the file to take where several are of one image."""
    files = spark.createDataFrame(pa.table({"path": pa.array(paths, pa.string())}))
    image_id = F.concat(F.lit(part.prefix), stem(F.col("path"), num_parts=part.table.images.id_parts))
    return files.select("path", image_id.alias("image_id"), preference(F.col("path")).alias("preference"))


def add_batch(spark: SparkSession, part: _Part, out: str, paths: Sequence[str], *, name: str) -> None:
    """Prepare some files and let them count; a batch of the same name is written anew."""
    manifest = read_manifest(spark, out)
    assert manifest is not None, "it was written at the beginning"
    manifest = manifest.without_batch(name)
    files = _with_image_ids(spark, paths, part).collect()
    best: dict[str, str] = {}
    for row in sorted(files, key=lambda row: (row["preference"], row["path"])):
        best.setdefault(row["image_id"], row["path"])
    found = spark.createDataFrame(pa.table({"image_id": pa.array(best.keys()), "path": pa.array(best.values())}))
    labeled = part.table.frame.join(F.broadcast(found), "image_id").persist(StorageLevel.MEMORY_AND_DISK)
    known = {row["image_id"] for row in labeled.select("image_id").collect()}
    earlier = read_samples(spark, out, manifest).select("image_id").join(F.broadcast(found), "image_id", "left_semi")
    taken = {row["image_id"] for row in earlier.collect()}
    refused = []
    for row in files:
        if row["image_id"] not in known:
            refused.append((row["path"], "no row in the label table names it."))
        elif row["image_id"] in taken:
            refused.append((row["path"], "another file of this image was prepared before."))
        elif row["path"] != best[row["image_id"]]:
            refused.append((row["path"], "another file of this image is prepared."))
    chosen = labeled.where(~F.col("image_id").isin(*taken)) if taken else labeled
    batch = _write(spark, chosen if known - taken else None, refused, manifest.preparation, out=out, name=name)
    write_manifest(spark, out, manifest.with_batch(name, batch))
    labeled.unpersist()


def _write(
    spark: SparkSession,
    chosen: DataFrame | None,
    refused: Sequence[tuple[str, str]],
    preparation: PreparationSettings,
    *,
    out: str,
    name: str,
) -> PreparedBatch:
    """Decode the chosen rows; write the samples, and into the quarantine what was refused before or cannot be read."""
    counts: dict[str, int] = {}
    combined = 0
    unreadable: list[tuple[str, str]] = []
    if chosen is not None:
        decoded = read_images(spark, chosen, settings=preparation).persist(StorageLevel.DISK_ONLY)
        samples = decoded.where("error is null").select(*SAMPLE_SCHEMA.names)
        seen = Observation()
        observed = samples.observe(
            seen,
            F.bit_xor(F.xxhash64("image_id", "split", "labels", "image.data")).alias("hash"),
            F.count(F.lit(1)).alias("samples"),
            *(F.count_if(F.col("split") == split).alias(split) for split in SPLITS),
        )
        observed.write.mode("overwrite").partitionBy("split").parquet(f"{out}/samples/batch={name}")
        rows = decoded.where("error is not null").select("path", "error").collect()
        unreadable = [(row["path"], row["error"]) for row in rows]
        decoded.unpersist()
        counts = {key: value for key, value in seen.get.items() if key != "hash"}
        combined = seen.get["hash"] or 0
    table = spark.createDataFrame([*refused, *unreadable], QUARANTINE_SCHEMA)
    table.coalesce(1).write.mode("overwrite").parquet(f"{out}/quarantine/batch={name}")
    return PreparedBatch(
        samples=counts.get("samples", 0),
        refused=len(refused) + len(unreadable),
        by_split={split: counts[split] for split in SPLITS if counts.get(split)},
        hash=f"{combined & (1 << 64) - 1:016x}",
    )

"""Prepares one batch of files into a prepared set: which are chosen, what is refused, and when the batch counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import StorageLevel
from pyspark.sql import Observation
from pyspark.sql import functions as F

from radspark.datasets.columns import stem
from radspark.datasets.reading import Source
from radspark.datasets.schema import SPLITS, LabelTable
from radspark.errors import RadsparkError
from radspark.frames.reader import read_images
from radspark.identifiers import Identifiers
from radspark.samples.files import images_pattern, preference
from radspark.samples.join import fill_profile
from radspark.samples.prepared_set import (
    QUARANTINE_SCHEMA,
    SAMPLE_SCHEMA,
    PreparedBatch,
    read_manifest,
    read_samples,
    write_manifest,
)
from radspark.settings import PreparationSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILE_BYTES = 128 * 2**20
"""Pixels in one Parquet file, about, before compression."""
ROW_GROUP_BYTES = 16 * 2**20
"""Spark's reader takes up to 4,096 rows of a row group at once, 256 MiB of pixels if it held as many."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One source on its way into a prepared set."""

    source: Source
    prefix: str
    """Before the ids of its images; empty where it is the only source."""
    table: LabelTable
    """Its frame is as it will be written, but for identifiers: ids and labels as all sources have them."""
    identifiers: Identifiers
    """What becomes of patients and studies."""
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


def with_image_ids(spark: SparkSession, paths: Sequence[str], part: Part) -> DataFrame:
    """`path, image_id, preference`, lowest for the file to take where several are of one image."""
    files = spark.createDataFrame(pa.table({"path": pa.array(paths, pa.string())}))
    image_id = F.concat(F.lit(part.prefix), stem(F.col("path"), num_parts=part.table.images.id_parts))
    return files.select("path", image_id.alias("image_id"), preference(F.col("path")).alias("preference"))


def with_identifiers(frame: DataFrame, identifiers: Identifiers) -> DataFrame:
    """The rows of a label table with patients and studies kept or hashed. Images keep their ids, which name files."""
    if identifiers.policy == "keep":
        return frame
    replaced = F.udf(identifiers, "string", useArrow=False)
    return frame.withColumns({column: replaced(column) for column in ("patient_id", "study_id")})


def add_batch(spark: SparkSession, part: Part, out: str, paths: Sequence[str], *, name: str) -> None:
    """Prepare some files and let them count; a batch of the same name is written anew."""
    manifest = read_manifest(spark, out)
    assert manifest is not None, "it was written at the beginning"
    manifest = manifest.without_batch(name)
    files = with_image_ids(spark, paths, part).collect()
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
    fresh = spark.createDataFrame(pa.table({"image_id": pa.array(sorted(known - taken), pa.string())}))
    chosen = labeled.join(F.broadcast(fresh), "image_id", "left_semi") if taken else labeled
    chosen = with_identifiers(chosen, part.identifiers)
    batch = _write(spark, chosen, len(known - taken), refused, manifest.preparation, out=out, name=name)
    write_manifest(spark, out, manifest.with_batch(name, batch))
    labeled.unpersist()


def _write(
    spark: SparkSession,
    chosen: DataFrame,
    num_chosen: int,
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
    if num_chosen:
        decoded = fill_profile(read_images(spark, chosen, settings=preparation)).persist(StorageLevel.DISK_ONLY)
        # This decodes, in as many tasks as there are; what follows writes few files from what is kept.
        rows = decoded.where("error is not null").select("path", "error").collect()
        unreadable = [(row["path"], row["error"]) for row in rows]
        num_files = math.ceil(num_chosen * preparation.size**2 / FILE_BYTES)
        # The origin of an image is its path, which can name a patient.
        image = F.col("image").withField("origin", F.lit(None).cast("string")).alias("image")
        samples = decoded.where("error is null").withColumn("image", image)
        samples = samples.select(*SAMPLE_SCHEMA.names).coalesce(num_files)
        seen = Observation()
        observed = samples.observe(
            seen,
            F.bit_xor(F.xxhash64("image_id", "split", "labels", "image.data")).alias("hash"),
            F.count(F.lit(1)).alias("samples"),
            *(F.count_if(F.col("split") == split).alias(split) for split in SPLITS),
        )
        writer = observed.write.mode("overwrite").option("parquet.block.size", ROW_GROUP_BYTES).partitionBy("split")
        writer.parquet(f"{out}/samples/batch={name}")
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

"""Prepares the radiographs of data folders into a prepared set: batch by batch, resumable, each file exactly once.

Spark's Structured Streaming remembers which files were seen; a batch that was cut off is written again in its place.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.errors import StreamingQueryException

from radspark.datasets.leaks import check_no_leak, find_leak, fingerprint_splits
from radspark.datasets.phantom.mark import is_synthetic
from radspark.datasets.reading import Source, check_labels, open_labels
from radspark.datasets.registry import suited_preparation
from radspark.datasets.schema import LabelTable
from radspark.datasets.splits import get_split_policy
from radspark.datasets.tables import list_files
from radspark.errors import RadsparkError, SplitError
from radspark.frames.described import described, describes
from radspark.identifiers import Identifiers, get_identifiers
from radspark.samples.combine import Findings, choose_findings, describe_data, id_prefixes, unify
from radspark.samples.files import NAME_FILTER
from radspark.samples.prepare_batch import Part, add_batch, with_image_ids
from radspark.samples.prepared_set import (
    Manifest,
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


@describes("radspark: preparing samples")
def prepare_samples(
    spark: SparkSession,
    sources: Source | Sequence[Source],
    out: str,
    *,
    preparation: PreparationSettings | None = None,
    split: SplitSettings | None = None,
    findings: Findings = "common",
    identifiers: Identifiers | None = None,
    files_per_batch: int = 10_000,
    watch_seconds: float | None = None,
) -> Manifest:
    """Prepare what is there and not prepared yet; the same call again goes on where it was cut off, or adds new files.

    A file that is refused (unreadable, without a label, a second one of an image) stands in the quarantine with the
    reason, and is not tried again.

    Args:
        out: folder of the prepared set, on any file system that Spark writes.
        identifiers: whether patients and studies are hashed, with the user's key, or kept; None hashes. They cannot be
            dropped: intervals and folds are made of patients.
        files_per_batch: most files between two states that last.
        watch_seconds: look for new files so often until the streams are stopped, rather than once. Files must then
            appear whole (moved into the folder), with their rows in the label table as it was at the start.

    Raises:
        ArgumentError: the prepared set was begun with other choices, or identifiers are to be dropped.
        SplitError: patients stand in two splits; or the split is one that moves when data grow, and they grew.
        LabelTableError, DataError: as `load_samples`.
    """
    require(files_per_batch >= 1, f"files_per_batch must be at least 1, got {files_per_batch}.")
    out = out.rstrip("/")
    several = [sources] if isinstance(sources, Source) else list(sources)
    suited = suited_preparation(source.dataset for source in several)
    identifiers = identifiers or get_identifiers("hash")
    require(
        identifiers.policy != "drop",
        "identifiers of a prepared set must be hash or keep, got 'drop': intervals and folds are made of patients.",
    )
    choices = Choices(preparation or suited, split or SplitSettings(), findings, identifiers)
    with ExitStack() as lasting:
        parts, begun = _begin(spark, several, out, choices, lasting)
        queries = []
        for part in parts:
            query = _start(spark, part, out, files_per_batch=files_per_batch, watch_seconds=watch_seconds)
            queries.append(query)
            if watch_seconds is None:
                _wait(query, part)
                _add_unseen(spark, part, out, files_per_batch=files_per_batch)
        for query, part in zip(queries, parts, strict=True):
            _wait(query, part)
    manifest = read_manifest(spark, out)
    assert manifest is not None, "it was written at the beginning"
    # The label tables of this call were checked by themselves; samples of earlier calls can be of other tables.
    if begun.batches and not get_split_policy(manifest.data.split.policy).leaks_patients:
        check_no_leak(find_leak(read_samples(spark, out, manifest)))
    return manifest


@dataclasses.dataclass(frozen=True)
class Choices:
    """What all of a prepared set is made by."""

    preparation: PreparationSettings
    split: SplitSettings
    findings: Findings
    identifiers: Identifiers


def _begin(
    spark: SparkSession, several: Sequence[Source], out: str, choices: Choices, lasting: ExitStack
) -> tuple[list[Part], Manifest]:
    """Read the label tables; write a manifest, or check that the one that is there was made by the same choices.

    Returns:
        the sources, whose tables are kept while `lasting` does; and the manifest, with the batches that were there.
    """
    tables = [_keep_labels(spark, source, choices.split, lasting) for source in several]
    labels = choose_findings([table.labels for table in tables], choices.findings, names=[s.dataset for s in several])
    prefixes = id_prefixes(several)
    parts = []
    for source, prefix, table in zip(several, prefixes, tables, strict=True):
        frame = unify(table.frame, table.labels, labels, prefix=prefix)
        parts.append(Part(source, prefix, dataclasses.replace(table, frame=frame), choices.identifiers))
    everyone = functools.reduce(lambda left, right: left.unionByName(right), (part.table.frame for part in parts))
    data = describe_data(several, choices.split, fingerprints=[table.fingerprints for table in tables])
    synthetic = any(is_synthetic(spark, source.data_dir) for source in several)
    manifest = Manifest(
        labels,
        choices.preparation,
        data,
        synthetic,
        fingerprint_splits(everyone),
        identifiers=choices.identifiers.policy,
        key_check=choices.identifiers.key_check,
    )
    found = read_manifest(spark, out)
    if found is not None:
        check_same_choices(found, manifest, out)
        manifest = dataclasses.replace(manifest, batches=found.batches)
    write_manifest(spark, out, manifest)
    return parts, manifest


def _keep_labels(spark: SparkSession, source: Source, split: SplitSettings, lasting: ExitStack) -> LabelTable:
    """A label table, checked, that Spark parses once."""
    opened = open_labels(spark, source, split=split)
    frame = opened.frame.persist(StorageLevel.DISK_ONLY)
    lasting.callback(frame.unpersist)
    return check_labels(dataclasses.replace(opened, frame=frame))[0]


def check_same_choices(found: Manifest, planned: Manifest, out: str) -> None:
    """Check that more samples may join a prepared set.

    Raises:
        ArgumentError: other findings, preparation, data sets, rules, split or identifiers, or another key of these.
        SplitError: patients who are in it would be in another split now.
    """
    pairs = {
        "findings": (list(found.labels), list(planned.labels)),
        "preparation": (to_dict(found.preparation), to_dict(planned.preparation)),
        "data": (_choice_of_data(found), _choice_of_data(planned)),
        "identifiers": (found.identifiers, planned.identifiers),
    }
    for name, (theirs, ours) in pairs.items():
        require(
            theirs == ours,
            f"{out} was begun with {name} {theirs}, got {ours}; make the same choices, or prepare into another folder.",
        )
    require(
        found.key_check == planned.key_check,
        f"{out} was begun with another key of identifiers, by which its patients would have two hashes; bring the key "
        "back, or prepare into another folder.",
    )
    policy = get_split_policy(found.data.split.policy)
    if not policy.is_stable and found.splits_fingerprint != planned.splits_fingerprint:
        raise SplitError(
            f"the label table changed since {out} was begun, and split_policy={policy.name!r} moves patients when data "
            "grow; prepare into another folder, or use split_policy='patient'."
        )


def _choice_of_data(manifest: Manifest) -> dict[str, Any]:
    """What was chosen, without what was found."""
    return to_dict(dataclasses.replace(manifest.data, fingerprints={}))


def _start(
    spark: SparkSession, part: Part, out: str, *, files_per_batch: int, watch_seconds: float | None
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
        with described(spark, f"radspark: listing new files of {part.name}"):
            paths = [row["path"] for row in batch.collect()]
        try:
            with described(spark, f"radspark: preparing {len(paths)} files of {part.name}"):
                add_batch(spark, part, out, paths, name=f"{part.name}-{batch_id:06d}")
        except RadsparkError as error:
            part.failures.append(error)
            raise

    writer = stream.writeStream.foreachBatch(write).option("checkpointLocation", f"{out}/checkpoints/{part.name}")
    if watch_seconds is None:
        return writer.trigger(availableNow=True).start()
    return writer.trigger(processingTime=f"{watch_seconds} seconds").start()


def _wait(query: StreamingQuery, part: Part) -> None:
    try:
        query.awaitTermination()
    except StreamingQueryException:
        if part.failures:
            raise part.failures[0] from None
        raise
    finally:
        query.stop()


def _add_unseen(spark: SparkSession, part: Part, out: str, *, files_per_batch: int) -> None:
    """Files that Spark's stream passes over in silence, those of zero bytes, get their row in the quarantine too."""
    manifest = read_manifest(spark, out)
    assert manifest is not None, "it was written at the beginning"
    paths = list_files(spark, part.pattern, name_filter=NAME_FILTER)
    own = [batch for name, batch in manifest.batches.items() if name.startswith(f"{part.name}-")]
    if len(paths) <= sum(batch.samples + batch.refused for batch in own):
        return
    files = with_image_ids(spark, paths, part)
    unseen = files.join(read_samples(spark, out, manifest).select("image_id"), "image_id", "left_anti")
    unseen = unseen.join(read_quarantine(spark, out, manifest).select("path"), "path", "left_anti")
    missed = [row["path"] for row in unseen.select("path").collect()]
    first = sum(name.startswith(f"{part.name}-unseen-") for name in manifest.batches)
    for number, start in enumerate(range(0, len(missed), files_per_batch), first):
        add_batch(spark, part, out, missed[start : start + files_per_batch], name=f"{part.name}-unseen-{number:06d}")

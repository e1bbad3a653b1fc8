"""A prepared set: samples kept as Parquet, with a manifest that says what they are. Writing one is prepare.py's.

```
manifest/manifest.json                    what docs/formats.md says
samples/batch=NAME/split=train/*.parquet  label table, image, warning; a batch counts once it stands in the manifest
quarantine/batch=NAME/*.parquet           path and error of what was refused
checkpoints/SOURCE/                       Spark's, of the files that have been seen
```
"""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from radspark.datasets.schema import LABEL_TABLE, SPLITS
from radspark.errors import DataError
from radspark.frames.column_settings import settings_metadata
from radspark.frames.filesystem import fetched, publish, staging_uri
from radspark.frames.image_schema import IMAGE_SCHEMA
from radspark.labels import LabelSet
from radspark.samples.combine import MatchedLabels
from radspark.samples.counts import JoinCounts
from radspark.samples.origin import mark_origin
from radspark.settings import DataSettings, PreparationSettings, from_dict, to_dict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FORMAT_VERSION = 1
MANIFEST_FOLDER = "manifest"
MANIFEST_FILE = "manifest.json"
SAMPLE_SCHEMA = StructType(
    [*LABEL_TABLE.fields, StructField("image", IMAGE_SCHEMA), StructField("warning", StringType())]
)
QUARANTINE_SCHEMA = StructType([StructField("path", StringType()), StructField("error", StringType())])


@dataclasses.dataclass(frozen=True)
class PreparedSet:
    """A folder of prepared samples, where samples are asked for."""

    uri: str
    """On any file system that Spark reads."""


@dataclasses.dataclass(frozen=True)
class PreparedBatch:
    """Files that were prepared together."""

    samples: int
    refused: int
    by_split: Mapping[str, int]
    hash: str
    """XOR over samples of a 64-bit hash of id, split, labels and pixels, in hexadecimal."""


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What a prepared set holds."""

    labels: LabelSet
    preparation: PreparationSettings
    data: DataSettings
    synthetic: bool
    """Whether a source was drawn by `radspark data phantom`."""
    splits_fingerprint: str
    """Of the splits of all rows of the label tables, with a radiograph or without."""
    identifiers: str = "keep"
    """How patients and studies stand in the samples: `hash` or `keep`."""
    key_check: str = ""
    """`Identifiers.key_check` of the key that they are hashed with."""
    batches: Mapping[str, PreparedBatch] = dataclasses.field(default_factory=dict)

    @property
    def num_samples(self) -> int:
        """Over all batches."""
        return sum(batch.samples for batch in self.batches.values())

    @property
    def num_refused(self) -> int:
        """Over all batches."""
        return sum(batch.refused for batch in self.batches.values())

    @property
    def by_split(self) -> dict[str, int]:
        """Samples of train, validation and test."""
        return {split: sum(batch.by_split.get(split, 0) for batch in self.batches.values()) for split in SPLITS}

    @property
    def fingerprint(self) -> str:
        """Number of samples and a hash of their ids, splits, labels and pixels, in whatever batches they came."""
        combined = 0
        for batch in self.batches.values():
            combined ^= int(batch.hash, 16)
        return f"{self.num_samples}-{combined:016x}"

    def with_batch(self, name: str, batch: PreparedBatch) -> Manifest:
        """The same with a batch added, or replaced."""
        return dataclasses.replace(self, batches={**self.batches, name: batch})

    def without_batch(self, name: str) -> Manifest:
        """The same without a batch."""
        return dataclasses.replace(self, batches={n: batch for n, batch in self.batches.items() if n != name})


def write_manifest(spark: SparkSession, uri: str, manifest: Manifest) -> None:
    """Replace the manifest of a prepared set; it appears whole."""
    values = {
        "format_version": FORMAT_VERSION,
        "labels": list(manifest.labels),
        "preparation": to_dict(manifest.preparation),
        "data": to_dict(manifest.data),
        "synthetic": manifest.synthetic,
        "splits_fingerprint": manifest.splits_fingerprint,
        "identifiers": manifest.identifiers,
        "key_check": manifest.key_check,
        "samples": manifest.num_samples,
        "refused": manifest.num_refused,
        "by_split": manifest.by_split,
        "fingerprint": manifest.fingerprint,
        "batches": {name: dataclasses.asdict(batch) for name, batch in manifest.batches.items()},
    }
    with tempfile.TemporaryDirectory(prefix="radspark-") as folder:
        (Path(folder) / MANIFEST_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
        publish(spark, Path(folder), f"{uri}/{MANIFEST_FOLDER}", replaceable=(MANIFEST_FILE,))


def read_manifest(spark: SparkSession, uri: str) -> Manifest | None:
    """The manifest of a prepared set; None where there is none.

    Raises:
        DataError: it is damaged, or of a newer format.
    """
    values = _load_manifest(spark, uri)
    if values is None:
        return None
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise DataError(f"{uri} is a prepared set of format {version}; this radspark reads {FORMAT_VERSION}.")
    return Manifest(
        labels=LabelSet(tuple(values["labels"])),
        preparation=from_dict(PreparationSettings, values["preparation"], where=f"{MANIFEST_FILE}: preparation"),
        data=from_dict(DataSettings, values["data"], where=f"{MANIFEST_FILE}: data"),
        synthetic=values["synthetic"],
        splits_fingerprint=values["splits_fingerprint"],
        identifiers=values.get("identifiers", "keep"),
        key_check=values.get("key_check", ""),
        batches={name: PreparedBatch(**batch) for name, batch in values["batches"].items()},
    )


def _load_manifest(spark: SparkSession, uri: str) -> dict[str, Any] | None:
    def load(folder: str) -> dict[str, Any]:
        with fetched(spark, f"{folder}/{MANIFEST_FILE}") as file:
            values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return values

    folder = f"{uri}/{MANIFEST_FOLDER}"
    try:
        return load(folder)
    except FileNotFoundError:
        pass  # never written, or `publish` was killed between removing the old one and renaming the new one
    except json.JSONDecodeError as error:
        raise DataError(f"the manifest of {uri} is damaged ({error}); prepare the data again.") from error
    try:
        return load(staging_uri(folder))
    except (FileNotFoundError, json.JSONDecodeError):
        return None  # nothing counts yet: the first one was cut short at most


def open_prepared(spark: SparkSession, uri: str) -> MatchedLabels:
    """The samples of a prepared set, as `match_labels` gives those of a data folder, but with `image` and no `path`.

    Raises:
        DataError: there is no prepared set, it is damaged, or it holds no sample.
    """
    manifest = read_manifest(spark, uri)
    if manifest is None:
        raise DataError(f"{uri} is no prepared set: it has no {MANIFEST_FOLDER}/{MANIFEST_FILE}.")
    if not manifest.num_samples:
        raise DataError(f"the prepared set {uri} holds no sample; `{uri}/quarantine` says what was refused.")
    frame = read_samples(spark, uri, manifest)
    counts = JoinCounts(
        labeled=manifest.num_samples,
        files=manifest.num_samples,
        matched=manifest.num_samples,
        repeated_files=0,
        by_split=manifest.by_split,
        refused=manifest.num_refused,
    )
    marked = mark_origin(frame, dataclasses.replace(manifest.data, prepared=manifest.fingerprint))
    return MatchedLabels(
        frame=marked,
        table=marked.select(*LABEL_TABLE.names),
        labels=manifest.labels,
        counts=counts,
        hashed=manifest.identifiers == "hash",
    )


def read_samples(spark: SparkSession, uri: str, manifest: Manifest) -> DataFrame:
    """The columns of the label table, `image` and `warning`, of the batches that the manifest names."""
    folders = [f"{uri}/samples/batch={name}" for name, batch in manifest.batches.items() if batch.samples]
    if not folders:
        return spark.createDataFrame([], SAMPLE_SCHEMA)
    frame = spark.read.option("basePath", f"{uri}/samples").schema(SAMPLE_SCHEMA).parquet(*folders)
    image = F.col("image").alias("image", metadata=settings_metadata(manifest.preparation))
    return frame.select(*LABEL_TABLE.names, image, "warning")


def read_quarantine(spark: SparkSession, uri: str, manifest: Manifest) -> DataFrame:
    """`path, error` of the files that were refused. A path can name a patient."""
    folders = [f"{uri}/quarantine/batch={name}" for name, batch in manifest.batches.items() if batch.refused]
    if not folders:
        return spark.createDataFrame([], QUARANTINE_SCHEMA)
    return spark.read.schema(QUARANTINE_SCHEMA).parquet(*folders)

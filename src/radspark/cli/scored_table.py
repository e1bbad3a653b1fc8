"""Scored radiographs as a table, and `predictions.parquet`, format 2: what `evaluate` writes and `compare` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from radspark.errors import DataError
from radspark.identifiers import Identifiers
from radspark.labels import LabelSet

FORMAT_VERSION = 2
_METADATA_KEY = b"radspark"
_FIXED_COLUMNS = ("image_id", "patient_id", "labels", "probability", "score")


@dataclass(frozen=True, eq=False)
class ScoredTable:
    """N radiographs in the order of their ids, C findings."""

    labels: LabelSet
    image_ids: Sequence[str]
    patients: Sequence[str | None] | None
    """None where patients are not known."""
    labels_NC: NDArray[Any]
    """1, 0, or NaN for unknown."""
    probabilities_NC: NDArray[Any]
    scores_NC: NDArray[Any] | None = None
    """Before calibration; None where nothing was calibrated."""
    attributes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Other columns by name, such as `age`, `sex` and `view`; None where unknown."""

    def __len__(self) -> int:
        return len(self.image_ids)

    @classmethod
    def sorted(cls, *, image_ids: Sequence[str], patients: Sequence[str | None] | None, **rest: Any) -> ScoredTable:
        """A table whose rows came in any order."""
        order = sorted(range(len(image_ids)), key=lambda row: image_ids[row])
        table = cls(image_ids=image_ids, patients=patients, **rest)
        return table.take(np.array(order, np.int64))

    def take(self, rows: NDArray[np.int64]) -> ScoredTable:
        """Some rows, in the order given."""
        return ScoredTable(
            labels=self.labels,
            image_ids=[self.image_ids[row] for row in rows],
            patients=None if self.patients is None else [self.patients[row] for row in rows],
            labels_NC=self.labels_NC[rows],
            probabilities_NC=self.probabilities_NC[rows],
            scores_NC=None if self.scores_NC is None else self.scores_NC[rows],
            attributes={name: [values[row] for row in rows] for name, values in self.attributes.items()},
        )

    def pass_identifiers(self, identifiers: Identifiers) -> ScoredTable:
        """The table with its patients kept, hashed or dropped; image ids, by which tables are joined, stay."""
        patients = None if self.patients is None else [identifiers(patient) for patient in self.patients]
        return replace(self, patients=patients)

    def write(self, file: Path) -> None:
        """One Parquet file; the findings' names are in its metadata."""
        columns = {
            "image_id": pa.array(self.image_ids, pa.string()),
            "patient_id": pa.array(self.patients or [None] * len(self.image_ids), pa.string()),
            "labels": _lists(self.labels_NC),
            "probability": _lists(self.probabilities_NC),
            **({} if self.scores_NC is None else {"score": _lists(self.scores_NC)}),
            **{name: pa.array(values) for name, values in self.attributes.items()},
        }
        metadata = {"format_version": FORMAT_VERSION, "labels": list(self.labels)}
        pq.write_table(pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(metadata)}), file)

    @classmethod
    def read(cls, file: Path) -> ScoredTable:
        """Inverse of `write`.

        Raises:
            DataError: there is no such file, it is not Parquet, or `radspark evaluate` did not write it.
        """
        try:
            table = pq.read_table(file)
        except FileNotFoundError as error:
            raise DataError(f"{file} is missing; `radspark evaluate --out {file.parent}` writes it.") from error
        except (pa.ArrowInvalid, IsADirectoryError) as error:
            raise DataError(f"{file} is not a Parquet file: {error}") from error
        written = (table.schema.metadata or {}).get(_METADATA_KEY)
        if written is None:
            raise DataError(
                f"{file} does not name its findings; `radspark evaluate` of this version writes a file that does."
            )
        patients = table["patient_id"]
        attributes = [name for name in table.column_names if name not in _FIXED_COLUMNS]
        return cls(
            labels=LabelSet(tuple(json.loads(written)["labels"])),
            image_ids=table["image_id"].to_pylist(),
            patients=None if patients.null_count == len(patients) else patients.to_pylist(),
            labels_NC=_matrix(table["labels"]),
            probabilities_NC=_matrix(table["probability"]),
            scores_NC=_matrix(table["score"]) if "score" in table.column_names else None,
            attributes={name: table[name].to_pylist() for name in attributes},
        )


def _lists(values_NC: NDArray[Any]) -> pa.Array:
    """Rows as lists, NaN as null."""
    flat = pa.array(values_NC.ravel(), mask=np.isnan(values_NC).ravel())
    width = values_NC.shape[1]
    return pa.ListArray.from_arrays(np.arange(0, values_NC.size + 1, width, dtype=np.int32), flat)


def _matrix(column: pa.ChunkedArray) -> NDArray[Any]:
    rows = column.combine_chunks()
    flat: NDArray[Any] = rows.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(rows), -1)

"""Anybody's predictions and labels, as CSV or Parquet, joined by image: read without Spark and without a model.

Predictions have an id column and a column per finding; labels are NIH's own table, or an id column and a column per
finding. Ids are compared without folder and image extension, as everywhere in radspark.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyarrow import ArrowInvalid

from radspark.cli.nih_table import is_nih_table, spread_nih_table
from radspark.cli.scored_table import ScoredTable
from radspark.errors import DataError, LabelTableError
from radspark.labels import LabelSet

logger = logging.getLogger(__name__)

ID_COLUMNS = ("image_id", "Image Index", "path", "Path", "id")
"""Where the ids stand unless a column is named: the first of these that a table has."""
PATIENT_COLUMNS = ("patient_id", "subject_id", "PatientID", "Patient ID")
_NO_FINDINGS = frozenset({*ID_COLUMNS, *PATIENT_COLUMNS, "study_id", "age", "sex", "view", "split", "error"})
_NULLS = ("", "NA", "NaN", "nan", "null", "None")
_EXTENSION = r"(?i)\.(?:png|jpe?g|dcm|dicom|tiff?)$"
_SHOWN = 8
"""Most names of columns in one message."""


@dataclass(frozen=True, eq=False)
class JoinedTables:
    """Predictions that found their labels."""

    table: ScoredTable
    group_column: str | None
    """Whose equal values are one patient; None where there is none, and every image is its own."""
    without_prediction: int
    """Rows of the label table that no prediction is for."""
    unreadable: int
    """Rows of the predictions that are blank, as for a file that could not be read."""


def join_tables(
    predictions: Path, labels: Path, *, prefix: str = "", id_column: str | None = None, group_column: str | None = None
) -> JoinedTables:
    """Read both tables and join them.

    Args:
        prefix: what stands before a finding's name in the columns of the predictions.
        id_column: of the predictions, and of the labels where they have it.
        group_column: of the labels or the predictions; None takes the first of `PATIENT_COLUMNS` that is there.

    Raises:
        DataError: a file or column is missing, an id repeats, a prediction is no number or has no label, or no
            finding is in both tables.
    """
    scores, known = read_table(predictions), read_table(labels)
    if is_nih_table(known.columns):
        known = spread_nih_table(known, file=labels)
    scores = _by_image(scores, predictions, _id_column(scores, predictions, id_column))
    known = _by_image(known, labels, _id_column(known, labels, id_column if id_column in known.columns else None))
    columns = _match_findings(scores, known, prefix=prefix, files=(predictions, labels))
    if missing := len(scores.index.difference(known.index)):
        example = scores.index.difference(known.index)[0]
        raise DataError(
            f"{missing:,} of {len(scores):,} predictions have no row in {labels} (for example {example!r}); "
            "give the label table that they belong to, or remove them."
        )
    scores_NC = np.column_stack([_numbers(scores[column], predictions, DataError) for column in columns.values()])
    blank = _blank_rows(scores_NC, scores, predictions)
    rows = known.loc[scores.index]
    labels_NC = np.column_stack([_labels(rows[name], labels) for name in columns])
    group_column, patients = _patients(rows, scores, group_column, files=(labels, predictions))
    attributes = rows.drop(columns=[*columns, *(name for name in PATIENT_COLUMNS if name in rows)])
    table = ScoredTable(
        labels=LabelSet(tuple(columns)),
        image_ids=list(scores.index),
        patients=patients,
        labels_NC=labels_NC,
        probabilities_NC=scores_NC,
        attributes={str(name): _plain(attributes[name], labels) for name in attributes},
    )
    order = np.argsort(np.asarray(table.image_ids, dtype=object), kind="stable")
    kept = order[~blank[order]]
    return JoinedTables(table.take(kept), group_column, len(known) - len(scores), int(blank.sum()))


def read_thresholds(file: Path, labels: LabelSet, *, prefix: str = "") -> dict[str, float | None]:
    """Of each finding, from a table with the columns `finding` and `threshold`; None for one that it does not name.

    Args:
        prefix: may stand before a finding's name, as in the predictions.

    Raises:
        DataError: a column is missing, a threshold is not from 0 to 1, a finding repeats, or none is of `labels`.
    """
    table = read_table(file)
    if not {"finding", "threshold"} <= set(table):
        raise DataError(f"{file} has the columns {_listed(table)}; thresholds need finding and threshold.")
    values = _numbers(table["threshold"], file, DataError)
    if (strange := ~((values >= 0) & (values <= 1))).any():
        raise DataError(
            f"{file} has the threshold {values[strange][0]:g}; a threshold of probabilities is from 0 to 1."
        )
    keys = [_key(str(name).removeprefix(prefix)) for name in table["finding"]]
    given = dict(zip(keys, values.tolist(), strict=True))
    if len(given) < len(keys):
        raise DataError(f"{file} names a finding twice; leave one out.")
    known = {_key(name): name for name in labels}
    strangers = [key for key in given if key not in known]
    if len(strangers) == len(given):
        raise DataError(f"{file} names none of the findings, which are {', '.join(labels)}.")
    if strangers:
        logger.warning("%d findings of %s are not evaluated: %s", len(strangers), file, ", ".join(strangers[:_SHOWN]))
    return {name: given.get(key) for key, name in known.items()}


def read_table(file: Path) -> pd.DataFrame:
    """A CSV (plain or .gz; every column as text) or Parquet file.

    Raises:
        DataError: there is no such file, it is neither, or it holds no row.
    """
    try:
        if file.suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            table = pd.read_csv(file, dtype=str, keep_default_na=False, na_values=_NULLS, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"there is no file {file}.") from error
    except (ArrowInvalid, pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError, OSError) as error:
        raise DataError(f"{file} is neither CSV nor Parquet: {error}") from error
    if table.empty:
        raise DataError(f"{file} has no rows; copy it again.")
    return table.rename(columns=lambda name: str(name).strip())


def _id_column(table: pd.DataFrame, file: Path, chosen: str | None) -> str:
    if chosen is None:
        found = next((name for name in ID_COLUMNS if name in table), None)
        if found is None:
            raise DataError(f"{file} has no column of image ids; it has {_listed(table)}. Name it with --id-column.")
        return found
    if chosen not in table:
        raise DataError(f"{file} has no column {chosen!r}, which --id-column names; it has {_listed(table)}.")
    return chosen


def _by_image(table: pd.DataFrame, file: Path, id_column: str) -> pd.DataFrame:
    """The table by image id, each once."""
    ids = table[id_column].astype("string").str.strip().str.replace(r"^.*[/\\]", "", regex=True)
    ids = ids.str.replace(_EXTENSION, "", regex=True)
    if ids.isna().any():
        raise DataError(f"{file} has {int(ids.isna().sum())} row(s) without {id_column}; remove or mend them.")
    indexed = table.drop(columns=id_column).set_index(pd.Index(ids.astype(object), name="image_id"))
    if indexed.index.has_duplicates:
        example = indexed.index[indexed.index.duplicated()][0]
        raise DataError(f"{file} has several rows for the image {example!r}; keep one row per image.")
    return indexed


def _match_findings(
    scores: pd.DataFrame, known: pd.DataFrame, *, prefix: str, files: tuple[Path, Path]
) -> dict[str, str]:
    """Findings in the order of the label table, and the column of the predictions that each stands in."""
    predicted = _by_key(
        {column: column[len(prefix) :] for column in map(str, scores) if column.startswith(prefix)}, files[0]
    )
    labelled = _by_key({column: column for column in map(str, known)}, files[1])
    found = {column: predicted[key] for key, column in labelled.items() if key in predicted}
    if not found:
        with_prefix = f" (after the prefix {prefix!r})" if prefix else ""
        raise DataError(
            f"no column of {files[0]}{with_prefix} is a finding of {files[1]}: the predictions have {_listed(scores)}; "
            f"the labels {_listed(known)}. Is a --prefix such as prob_ missing?"
        )
    return found


def _by_key(names: Mapping[str, str], file: Path) -> dict[str, str]:
    """Columns that can be findings, by their names without regard to case and spaces."""
    columns: dict[str, str] = {}
    for column, name in names.items():
        if column in _NO_FINDINGS:
            continue
        key = _key(name)
        if key in columns:
            raise DataError(f"{file} has two columns of one finding, {columns[key]!r} and {column!r}; leave one out.")
        columns[key] = column
    return columns


def _key(name: str) -> str:
    """Of a finding: its name without regard to case and spaces."""
    return name.strip().lower().replace(" ", "_")


def _numbers(column: pd.Series[Any], file: Path, error: type[DataError]) -> NDArray[np.float64]:
    """As floats, NaN where blank."""
    numbers = pd.to_numeric(column, errors="coerce")
    if (strange := numbers.isna() & column.notna()).any():
        raise error(f"{file} has {str(column[strange].iloc[0])!r} in its column {column.name!r}, which is no number.")
    values: NDArray[np.float64] = numbers.to_numpy(np.float64, na_value=np.nan)
    return values


def _labels(column: pd.Series[Any], file: Path) -> NDArray[np.float64]:
    values = _numbers(column, file, LabelTableError)
    if (strange := ~np.isin(values, (0, 1)) & ~np.isnan(values)).any():
        raise LabelTableError(
            f"{file} has {values[strange][0]:g} in its column {column.name!r}; a label is 1, 0, or blank for unknown."
        )
    return values


def _blank_rows(scores_NC: NDArray[np.float64], scores: pd.DataFrame, file: Path) -> NDArray[np.bool_]:
    missing = np.isnan(scores_NC)
    blank: NDArray[np.bool_] = np.asarray(missing.all(axis=1))
    if (holes := missing.any(axis=1) & ~blank).any():
        raise DataError(
            f"{file} has no value for some findings of {scores.index[holes][0]!r}; fill them in, or leave the whole "
            "row blank where the image could not be read."
        )
    if blank.all():
        raise DataError(f"{file} has no prediction: every row is blank.")
    return blank


def _patients(
    rows: pd.DataFrame, scores: pd.DataFrame, chosen: str | None, *, files: tuple[Path, Path]
) -> tuple[str | None, list[str] | None]:
    """The column that groups images, and its values for them."""
    names = PATIENT_COLUMNS if chosen is None else (chosen,)
    for table in (rows, scores):
        for name in names:
            if name in table:
                values = table[name]
                if values.isna().any():
                    raise DataError(f"{int(values.isna().sum())} images have no {name!r}; mend the table.")
                return name, [str(value) for value in values]
    if chosen is not None:
        raise DataError(
            f"neither {files[0]} nor {files[1]} has a column {chosen!r}, which --group-column names; "
            f"the labels have {_listed(rows)}."
        )
    return None, None


def _plain(column: pd.Series[Any], file: Path) -> list[Any]:
    """Ages as numbers, all else as text; None where blank."""
    values: Mapping[Any, Any] | Any = _numbers(column, file, LabelTableError) if column.name == "age" else column
    return [None if pd.isna(value) else (float(value) if column.name == "age" else str(value)) for value in values]


def _listed(table: pd.DataFrame) -> str:
    names = [repr(str(name)) for name in table]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more

"""Reads a table of anybody's: CSV or Parquet, a row per radiograph, with a map from its columns to the schema's."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from radspark.datasets.columns import blank_to_null, date_of, sex, stem, view, years
from radspark.datasets.findings import finding_name
from radspark.datasets.schema import PROBLEM, SPLITS, ImageFiles, LabelTable
from radspark.datasets.tables import Folder, in_folder, read_csv, require_columns
from radspark.errors import LabelTableError
from radspark.labels import LabelSet
from radspark.settings import require

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

TITLE = "a plain table"
_SPLIT_WORDS = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
}


@dataclasses.dataclass(frozen=True)
class TableRules:
    """Which column of a table is what, and how it writes its values."""

    file: str = "labels.csv"
    """Name of the table in the data folder: CSV (plain or .gz, with a header) or Parquet."""
    multi_line: bool = False
    """Whether a quoted cell of a CSV can hold line breaks, as a report may. One task then reads the file."""
    image_folders: tuple[str, ...] = ("images",)
    """Folders of the data folder, as globs, in which images lie at any depth."""
    image: str = "image_id"
    """Column with the image's file name or path, with or without extension."""
    id_parts: int = 1
    """Last parts of that path that name the image: more than one where file names alone repeat."""
    patient: str = "patient_id"
    study: str | None = None
    age: str | None = None
    """Column of years, or DICOM's `058Y`."""
    sex: str | None = None
    """Column of M, F, male or female."""
    view: str | None = None
    site: str | None = None
    date: str | None = None
    """Column of `20120131` or `2012-01-31`."""
    split: str | None = None
    """Column of train, validation (or valid, val) and test; with it there is an official split."""
    findings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Our name of each finding to its column of values."""
    finding_list: str | None = None
    """Instead: one column that lists the present findings, as NIH's does; `findings` then maps to its words."""
    separator: str = "|"
    """Between the words of `finding_list`."""
    positive: tuple[str, ...] = ("1", "1.0", "true", "yes")
    """What a present finding's cell holds, in any case."""
    negative: tuple[str, ...] = ("0", "0.0", "false", "no")
    unknown: tuple[str, ...] = ("-1", "-1.0", "nan")
    """Beside an empty cell."""

    def __post_init__(self) -> None:
        require(self.id_parts >= 1, f"id_parts must be at least 1, got {self.id_parts}.")
        require(
            bool(self.findings),
            "findings must map at least one finding to its column, such as findings.Effusion=pleural_effusion.",
        )


def read_plain(spark: SparkSession, data_dir: Folder, *, official: bool, rules: TableRules) -> LabelTable:
    """The columns of a table by the schema's names.

    Raises:
        LabelTableError: no table, or a missing column.
    """
    table = _read(spark, data_dir, rules)
    profile = {name: getattr(rules, name) for name in ("study", "age", "sex", "view", "site", "date", "split")}
    named = [rules.image, rules.patient, *(column for column in profile.values() if column)]
    values = [rules.finding_list] if rules.finding_list else list(rules.findings.values())
    require_columns(table, dict.fromkeys([*named, *values]), file=rules.file, title=TITLE)
    table = table.select(
        *(F.col(f"`{column}`").cast("string").alias(column) for column in dict.fromkeys([*named, *values]))
    )
    labels = LabelSet(tuple(finding_name(name) for name in rules.findings))
    column = {name: F.col(f"`{column}`") if column else F.lit(None) for name, column in profile.items()}
    frame = table.select(
        stem(F.col(f"`{rules.image}`"), num_parts=rules.id_parts).alias("image_id"),
        blank_to_null(column["study"]).alias("study_id"),
        blank_to_null(F.col(f"`{rules.patient}`")).alias("patient_id"),
        years(column["age"]).alias("age"),
        sex(column["sex"]).alias("sex"),
        view(column["view"]).alias("view"),
        blank_to_null(column["site"]).alias("site"),
        date_of(column["date"]).alias("date"),
        _labels(rules).alias("labels"),
        (_split(column["split"]) if official else F.lit(None)).alias("split"),
        _problem(rules).alias(PROBLEM),
    )
    images = ImageFiles(folders=rules.image_folders, id_parts=rules.id_parts)
    return LabelTable(frame, labels, images, rules.file, official_splits=SPLITS if rules.split else ())


def _read(spark: SparkSession, data_dir: Folder, rules: TableRules) -> DataFrame:
    from pyspark.errors import AnalysisException

    try:
        return (
            spark.read.parquet(in_folder(data_dir, rules.file))
            if rules.file.rstrip("/").endswith(".parquet")
            else read_csv(spark, data_dir, rules.file, multi_line=rules.multi_line)
        )
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            raise LabelTableError(
                f"{data_dir} holds no {rules.file!r}; name the table with the rule `file`."
            ) from error
        raise


def _split(text: Column) -> Column:
    words = F.create_map(*(F.lit(word) for pair in _SPLIT_WORDS.items() for word in pair))
    return words[F.lower(F.trim(text))]


def _labels(rules: TableRules) -> Column:
    if rules.finding_list:
        text = blank_to_null(F.col(f"`{rules.finding_list}`"))
        words = F.transform(F.split(text, rf"\Q{rules.separator}\E"), lambda word: F.lower(F.trim(word)))
        return F.array(
            *(F.array_contains(words, word.strip().lower()).cast("float") for word in rules.findings.values())
        )
    return F.array(*(_value(F.col(f"`{column}`"), rules) for column in rules.findings.values()))


def _value(cell: Column, rules: TableRules) -> Column:
    word = F.lower(F.trim(cell))
    return F.when(word.isin(*rules.positive), 1.0).when(word.isin(*rules.negative), 0.0)


def _problem(rules: TableRules) -> Column:
    """A cell that would become unknown in silence, as a sentence; null where there is none."""
    known = {word.lower() for word in (*rules.positive, *rules.negative, *rules.unknown, "")}
    problems = []
    if not rules.finding_list:
        for column in rules.findings.values():
            is_strange = ~F.lower(F.trim(F.col(f"`{column}`"))).isin(*known)
            problems.append(_say(rules, column, is_strange, "a value of `positive`, `negative` or `unknown`"))
    if rules.split:
        text = F.col(f"`{rules.split}`")
        is_strange = text.isNotNull() & _split(text).isNull()
        problems.append(_say(rules, rules.split, is_strange, f"one of {', '.join(SPLITS)}"))
    return F.coalesce(*problems) if problems else F.lit(None)


def _say(rules: TableRules, column: str, is_strange: Column, rule: str) -> Column:
    rest = f"' in column {column!r}, which must be {rule}; name it in the rules."
    return F.when(is_strange, F.concat(F.lit(f"{rules.file} has '"), F.col(f"`{column}`"), F.lit(rest)))

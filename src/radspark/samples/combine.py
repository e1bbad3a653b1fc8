"""Puts the labels of several data sets together, over the findings that are wanted; one data set passes unchanged."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pyspark.sql import functions as F

from radspark.errors import DataError
from radspark.labels import LabelSet
from radspark.samples.counts import JoinCounts, add_counts
from radspark.settings import DataSettings, SplitSettings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.datasets.reading import Source

logger = logging.getLogger(__name__)

Findings = Literal["common", "all"] | Sequence[str]
"""Of several data sets: those that all have, in the first one's order; those that any has; or named ones."""


@dataclass(frozen=True)
class MatchedLabels:
    """A label table, and its rows whose radiograph is there."""

    frame: DataFrame
    """The rows with a radiograph: the columns of the label table, and `path`."""
    table: DataFrame
    """The whole label table."""
    labels: LabelSet
    counts: JoinCounts
    fingerprints: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Of the patients of each split of one data set."""
    leaking: int = 0
    """Patients that stand in two splits, where that is allowed."""
    hashed: bool = False
    """Whether patients and studies are hashes already, as in most prepared sets."""


def combine(sources: Sequence[Source], found: Sequence[MatchedLabels], *, findings: Findings) -> MatchedLabels:
    """The rows of several data sets, with labels in one order.

    Ids of several get the data set's name before them (`nih/00000001_000`), and `site` is the data set where its table
    names none, so that neither patients nor images are mixed up. Splits are each data set's own.

    Raises:
        DataError: no finding is common to all, or a named one is in none.
    """
    labels = choose_findings([matched.labels for matched in found], findings, names=[s.dataset for s in sources])
    prefixes = id_prefixes(sources)

    def unite(frames: Iterable[DataFrame]) -> DataFrame:
        return functools.reduce(lambda left, right: left.unionByName(right), frames)

    return MatchedLabels(
        frame=unite(unify(m.frame, m.labels, labels, prefix=p) for m, p in zip(found, prefixes, strict=True)),
        table=unite(unify(m.table, m.labels, labels, prefix=p) for m, p in zip(found, prefixes, strict=True)),
        labels=labels,
        counts=functools.reduce(add_counts, (matched.counts for matched in found)),
        leaking=sum(matched.leaking for matched in found),
    )


def describe_data(
    sources: Sequence[Source], split: SplitSettings, *, fingerprints: Sequence[Mapping[str, str]]
) -> DataSettings:
    """What is kept of the choice of data, without its paths.

    Args:
        fingerprints: of the patients of each split, for each source.
    """
    names = [prefix.rstrip("/") or sources[0].dataset for prefix in id_prefixes(sources)]
    rules = {name: dict(source.rules) for name, source in zip(names, sources, strict=True)}
    return DataSettings(
        dataset=" + ".join(source.dataset for source in sources),
        split=dataclasses.replace(split, split_file=None),
        rules=rules if len(sources) > 1 else dict(sources[0].rules),
        fingerprints={name: dict(found) for name, found in zip(names, fingerprints, strict=True) if found},
    )


def choose_findings(label_sets: Sequence[LabelSet], findings: Findings, *, names: Sequence[str]) -> LabelSet:
    """The findings that are wanted, in the order of the first data set that has them.

    Raises:
        DataError: none is common to all, or a named one is in none; the message says who has what.
    """
    seen = Counter(name for labels in label_sets for name in labels)
    has = "; ".join(f"{name}: {', '.join(labels)}" for name, labels in zip(names, label_sets, strict=True))
    if findings == "common":
        common = [name for name in seen if seen[name] == len(label_sets)]
        if not common:
            raise DataError(f"the data sets have no finding in common ({has}); use findings='all', or name some.")
        return LabelSet(tuple(common))
    if findings == "all":
        return LabelSet(tuple(seen))
    strange = [name for name in findings if name not in seen]
    if strange:
        raise DataError(f"no data set has the finding {strange[0]!r} ({has}); correct the name.")
    return LabelSet(tuple(findings))


def relabel(matched: MatchedLabels, wanted: LabelSet) -> MatchedLabels:
    """The same rows with the labels of a model, which may know other findings than the data set.

    Logs the findings that the data set does not have; they are unknown.

    Raises:
        DataError: it has none of them.
    """
    missing = [name for name in wanted if name not in matched.labels.names]
    if len(missing) == len(wanted):
        raise DataError(
            f"the data set ({', '.join(matched.labels)}) has none of the model's findings ({', '.join(wanted)}); "
            "evaluate on a data set that has one of them."
        )
    if missing:
        logger.warning("the data set does not say %s: unknown for all radiographs", ", ".join(missing))
    return dataclasses.replace(
        matched,
        frame=project_labels(matched.frame, matched.labels, wanted),
        table=project_labels(matched.table, matched.labels, wanted),
        labels=wanted,
    )


def project_labels(frame: DataFrame, labels: LabelSet, wanted: LabelSet) -> DataFrame:
    """The same rows with `labels` in another order; findings that they do not have are unknown."""
    if labels == wanted:
        return frame
    values = (F.get("labels", F.lit(labels.index(name))) if name in labels.names else F.lit(None) for name in wanted)
    return frame.withColumn("labels", F.array(*(value.cast("float") for value in values)))


def unify(frame: DataFrame, labels: LabelSet, wanted: LabelSet, *, prefix: str) -> DataFrame:
    """Rows of a data set as they stand among those of others: labels in one order, ids and site with its name."""
    projected = project_labels(frame, labels, wanted)
    if not prefix:
        return projected
    ids = {column: F.concat(F.lit(prefix), F.col(column)) for column in ("image_id", "study_id", "patient_id")}
    return projected.withColumns({**ids, "site": F.coalesce("site", F.lit(prefix.rstrip("/")))})


def id_prefixes(sources: Sequence[Source]) -> list[str]:
    """`nih/` and so on, with a number after names that come twice; empty for a data set alone."""
    if len(sources) == 1:
        return [""]
    seen: Counter[str] = Counter()
    total = Counter(source.dataset for source in sources)
    prefixes = []
    for source in sources:
        seen[source.dataset] += 1
        number = "" if total[source.dataset] == 1 else f"-{seen[source.dataset]}"
        prefixes.append(f"{source.dataset}{number}/")
    return prefixes

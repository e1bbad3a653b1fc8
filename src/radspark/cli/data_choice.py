"""Which data a command reads: from its flags to data sets or a prepared set, their findings and their split."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from radspark.datasets.phantom.mark import is_synthetic
from radspark.datasets.reading import Source
from radspark.datasets.registry import DATASETS, get_dataset
from radspark.datasets.splits import check_split_settings
from radspark.errors import ArgumentError
from radspark.samples.combine import Findings, MatchedLabels
from radspark.samples.origin import find_origin
from radspark.samples.prepared_set import PreparedSet, read_manifest
from radspark.settings import SplitSettings, to_dict

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PREPARED = "prepared"
"""What `--dataset` calls a folder that `radspark data prepare` wrote."""


@dataclasses.dataclass(frozen=True)
class DataChoice:
    """Data sets in their folders, or one prepared set."""

    sources: tuple[Source, ...] | PreparedSet
    findings: Findings = "common"
    split: SplitSettings = dataclasses.field(default_factory=SplitSettings)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Name and folder of each data set."""
        if isinstance(self.sources, PreparedSet):
            return [(PREPARED, self.sources.uri)]
        return [(source.dataset, str(source.data_dir)) for source in self.sources]

    def to_dict(self) -> dict[str, Any]:
        """For the reader's eye, in recipe.toml."""
        if isinstance(self.sources, PreparedSet):
            return {"sources": [{"dataset": PREPARED, "data_dir": self.sources.uri}]}
        sources = [
            {"dataset": source.dataset, "data_dir": str(source.data_dir), "rules": dict(source.rules)}
            for source in self.sources
        ]
        return {"sources": sources, "findings": self.findings, "split": to_dict(self.split)}

    def source_words(self) -> list[str]:
        """The options that name the same data again."""
        words = [word for name, folder in self.pairs for word in ("--dataset", name, "--data-dir", folder)]
        if isinstance(self.sources, PreparedSet):
            return words
        several = len(self.sources) > 1
        for source in self.sources:
            for rule, value in _flattened(source.rules):
                name = f"{source.dataset}.{rule}" if several else rule
                words += ["--label-rule", f"{name}={_toml(value)}"]
        return words

    def words(self) -> list[str]:
        """The options that choose the same data and split again."""
        if isinstance(self.sources, PreparedSet):
            return self.source_words()
        words = [*self.source_words(), "--split-policy", self.split.policy]
        words += ["--validation-share", str(self.split.validation_share), "--test-share", str(self.split.test_share)]
        words += [word for site in self.split.test_sites for word in ("--test-site", site)]
        words += ["--test-from", self.split.test_from] if self.split.test_from else []
        words += self.split_file_words()
        findings = self.findings if isinstance(self.findings, str) else ",".join(self.findings)
        return words + (["--findings", findings] if findings != "common" else [])

    def split_file_words(self) -> list[str]:
        """The option that gives the same list of splits again; a bundle does not keep its path."""
        return ["--split-file", self.split.split_file] if self.split.split_file else []

    def describe(self, spark: SparkSession, matched: MatchedLabels) -> tuple[str, bool]:
        """The data's title for people, and whether they are synthetic."""
        if isinstance(self.sources, PreparedSet):
            manifest, origin = read_manifest(spark, self.sources.uri), find_origin(matched.frame)
            assert manifest is not None and origin is not None, "a prepared set that was opened has both"
            return " and ".join(get_dataset(name).title for name in sorted(origin.datasets)), manifest.synthetic
        titles = dict.fromkeys(source.title for source in self.sources)
        return " and ".join(titles), any(is_synthetic(spark, source.data_dir) for source in self.sources)


def choose_data(
    datasets: Sequence[str],
    data_dirs: Sequence[str],
    *,
    label_rules: Sequence[str] = (),
    findings: str = "common",
    split: SplitSettings | None = None,
) -> DataChoice:
    """The data of a command, checked as far as can be without Spark.

    Args:
        label_rules: `RULE=VALUE`, with the data set and a dot before it where there are several. A value is TOML, or a
            plain word.
        findings: common, all, or names with commas between.

    Raises:
        ArgumentError: an unknown data set, rule or policy, or another number of folders than of data sets.
    """
    for name in datasets:
        if name != PREPARED:
            get_dataset(name)
    if len(datasets) != len(data_dirs):
        raise ArgumentError(
            f"--data-dir must be given once for each --dataset ({len(datasets)}), got {len(data_dirs)}."
        )
    split = split or SplitSettings()
    check_split_settings(split)
    if PREPARED in datasets:
        if len(datasets) > 1 or label_rules or findings != "common":
            raise ArgumentError(
                f"--dataset {PREPARED} must stand alone, without --label-rule and --findings: they were chosen when it "
                "was prepared."
            )
        return DataChoice(PreparedSet(data_dirs[0].rstrip("/")), split=split)
    rules = parse_label_rules(label_rules, datasets)
    sources = tuple(Source(name, folder, rules[name]) for name, folder in zip(datasets, data_dirs, strict=True))
    named = findings if findings in ("common", "all") else tuple(word.strip() for word in findings.split(","))
    return DataChoice(sources, named, split)


def parse_label_rules(label_rules: Sequence[str], datasets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Rules by data set.

    Raises:
        ArgumentError: a rule without `=`, or, among several data sets, without the name of one of them.
    """
    rules: dict[str, dict[str, Any]] = {name: {} for name in datasets}
    for item in label_rules:
        path, equals, text = item.partition("=")
        *parents, last = path.split(".")
        if not equals:
            raise ArgumentError(f"--label-rule must be RULE=VALUE, got {item!r}.")
        owner = parents.pop(0) if parents and parents[0] in DATASETS else datasets[0]
        is_named = path.split(".")[0] == owner
        if owner not in rules or (len(rules) > 1 and not is_named):
            owners = " or ".join(f"{name}." for name in rules)
            raise ArgumentError(f"--label-rule must begin with {owners}, got {item!r}.")
        place = rules[owner]
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = _parse_value(text)
    return rules


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _flattened(rules: Any, before: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for name, value in rules.items():
        pairs += _flattened(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", value)]
    return pairs


def _toml(value: Any) -> str:
    import tomli_w

    return value if isinstance(value, str) else tomli_w.dumps({"value": value}).partition("=")[2].strip()

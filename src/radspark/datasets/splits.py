"""Which samples train, validate and test: named policies over a label table. Who then stands where is for `leaks`.

A share is a share of patients, drawn by hash: but for the stratified policy, whoever is in a split stays in it when
patients are added.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from radspark.datasets.schema import SPLITS
from radspark.datasets.split_file import split_by_file
from radspark.errors import ArgumentError
from radspark.settings import SplitSettings

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_HASH_DIGITS = 13
"""Hexadecimal digits of the hash that are used: 52 bits, which a double holds exactly."""


@dataclass(frozen=True)
class SplitPolicy:
    """One way to assign splits."""

    name: str
    assign: Callable[[DataFrame, SplitSettings], DataFrame]
    """(label table, settings) to the table with its `split` column set."""
    needs_official: bool = False
    """Whether `split` must hold the data set's own train and test part beforehand."""
    draws_test: bool = False
    """Whether `test_share` of the patients are drawn to test."""
    leaks_patients: bool = False
    """Whether a patient can stand in two splits."""
    is_stable: bool = True
    """Whether patients stay where they are when others are added, and so, with equal settings, whatever was changed."""
    test_settings: tuple[str, ...] = ()
    """Settings that decide who tests."""


def split_officially(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Cut validation patients out of the official train part; the official test part is not touched."""
    validates = (F.col("split") == "train") & (draw_uniform("patient_id", settings.seed) < settings.validation_share)
    return frame.withColumn("split", F.when(validates, "validation").otherwise(F.col("split")))


def split_by_patient(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Draw whole patients for each split, whatever the official parts."""
    return frame.withColumn("split", _three_parts(draw_uniform("patient_id", settings.seed), settings))


def split_stratified(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Draw whole patients for each split, in exact shares of each stratum, so that rare findings are in all splits.

    A patient's stratum is the rarest finding (by number of patients) that any of the radiographs shows. Every split
    takes at least one patient of each stratum of three or more, if its share is above 0. When patients are added,
    others can move.
    """
    patients = frame.select("patient_id", F.posexplode_outer("labels").alias("finding", "value"))
    shown = patients.where(F.col("value") == 1).select("patient_id", "finding").distinct()
    rarity = shown.groupBy("finding").agg(F.count("*").alias("num_patients"))
    strata = (
        shown.join(F.broadcast(rarity), "finding")
        .groupBy("patient_id")
        .agg(F.min_by("finding", F.struct("num_patients", "finding")).alias("stratum"))
    )
    everyone = frame.select("patient_id").distinct().join(strata, "patient_id", "left").fillna(-1, ["stratum"])
    stratum = Window.partitionBy("stratum")
    by_draw = stratum.orderBy(draw_uniform("patient_id", settings.seed), "patient_id")
    placed = everyone.select(
        "patient_id", F.row_number().over(by_draw).alias("place"), F.count("*").over(stratum).alias("size")
    )
    num_test, num_validation = (
        F.when(
            (F.col("size") >= len(SPLITS)) & F.lit(share > 0), F.greatest(F.round(F.col("size") * share), F.lit(1))
        ).otherwise(F.round(F.col("size") * share))
        for share in (settings.test_share, settings.validation_share)
    )
    split = (
        F.when(F.col("place") <= num_test, "test")
        .when(F.col("place") <= num_test + num_validation, "validation")
        .otherwise("train")
    )
    drawn = placed.select("patient_id", split.alias("split"))
    return frame.drop("split").join(drawn, "patient_id", "left")


def split_by_site(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Named sites test, with all radiographs of their patients; patients of unknown site alone are in no split."""
    patient = Window.partitionBy("patient_id")
    tests = F.max(F.col("site").isin(*settings.test_sites)).over(patient)
    return frame.withColumn("split", F.when(tests, "test").when(~tests, _train_part(settings)))


def split_by_date(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Patients first seen on a day or later test; those of unknown date are in no split."""
    tests = F.min("date").over(Window.partitionBy("patient_id")) >= F.lit(settings.test_from).cast("date")
    return frame.withColumn("split", F.when(tests, "test").when(~tests, _train_part(settings)))


def split_externally(frame: DataFrame, _settings: SplitSettings) -> DataFrame:
    """Everything tests: a set that no training saw."""
    return frame.withColumn("split", F.lit("test"))


def split_as_listed(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Each radiograph as a file says that names images and splits; those that it does not name are in no split."""
    assert settings.split_file is not None, "the settings were checked"
    return split_by_file(frame, settings.split_file)


def split_by_image_leaking_patients(frame: DataFrame, settings: SplitSettings) -> DataFrame:
    """Draw single images for each split, as the 2019 system did: patients leak, and results come out too good.

    Only for comparison with published results that were made this way.
    """
    return frame.withColumn("split", _three_parts(draw_uniform("image_id", settings.seed), settings))


SPLIT_POLICIES: Mapping[str, SplitPolicy] = {
    policy.name: policy
    for policy in (
        SplitPolicy("official", split_officially, needs_official=True),
        SplitPolicy("patient", split_by_patient, draws_test=True, test_settings=("test_share", "seed")),
        SplitPolicy(
            "stratified", split_stratified, draws_test=True, is_stable=False, test_settings=("test_share", "seed")
        ),
        SplitPolicy("site", split_by_site, test_settings=("test_sites",)),
        SplitPolicy("date", split_by_date, test_settings=("test_from",)),
        SplitPolicy("file", split_as_listed, is_stable=False),
        SplitPolicy("external", split_externally),
        SplitPolicy(
            "image-leaks-patients",
            split_by_image_leaking_patients,
            draws_test=True,
            leaks_patients=True,
            test_settings=("test_share", "seed"),
        ),
    )
}


def get_split_policy(name: str) -> SplitPolicy:
    """The policy of a name.

    Raises:
        ArgumentError: there is none; the message names the nearest.
    """
    if name not in SPLIT_POLICIES:
        near = difflib.get_close_matches(name, SPLIT_POLICIES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ArgumentError(f"split_policy must be one of {', '.join(SPLIT_POLICIES)}, got {name!r}.{hint}")
    return SPLIT_POLICIES[name]


def check_split_settings(settings: SplitSettings) -> SplitPolicy:
    """The policy of some settings, which must fit it.

    Raises:
        ArgumentError: no such policy, shares that leave nobody to train on, or a setting of another policy.
    """
    policy = get_split_policy(settings.policy)
    if policy.draws_test and settings.validation_share + settings.test_share >= 1:
        raise ArgumentError(
            "validation_share and test_share must leave patients to train on, "
            f"got {settings.validation_share} and {settings.test_share}; lower one."
        )
    for name, owner in (("test_sites", "site"), ("test_from", "date"), ("split_file", "file")):
        is_given = bool(getattr(settings, name))
        if is_given != (policy.name == owner):
            what = f"has no use for {name}, which belongs to {owner!r}" if is_given else f"needs {name}"
            raise ArgumentError(f"split_policy={policy.name!r} {what}.")
    return policy


def draw_uniform(id_column: str, seed: int) -> Column:
    """A uniform number in [0, 1) that depends on the seed and an id only: SHA-256, the same in every version."""
    digest = F.sha2(F.concat_ws(":", F.lit(str(seed)), F.col(id_column)), 256)
    digits = F.conv(F.substring(digest, 1, _HASH_DIGITS), 16, 10)
    return digits.cast("double") / float(16**_HASH_DIGITS)


def _three_parts(drawn: Column, settings: SplitSettings) -> Column:
    return (
        F.when(drawn < settings.test_share, "test")
        .when(drawn < settings.test_share + settings.validation_share, "validation")
        .otherwise("train")
    )


def _train_part(settings: SplitSettings) -> Column:
    validates = draw_uniform("patient_id", settings.seed) < settings.validation_share
    return F.when(validates, "validation").otherwise("train")

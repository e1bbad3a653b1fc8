"""Which split a bundle is tested on: as its training had it, unless flags say otherwise and no patient can leak."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from radspark.datasets.splits import get_split_policy
from radspark.errors import SplitError
from radspark.samples.origin import find_origin, has_other_patients, leaking_differences
from radspark.settings import DataSettings, SplitSettings

if TYPE_CHECKING:
    from radspark.samples.combine import MatchedLabels

logger = logging.getLogger(__name__)

FLAGS = {"policy": "split_policy", "seed": "split_seed"}
"""Fields of SplitSettings whose flag has another name."""


def choose_split(trained: DataSettings | None, dataset: str, *, split: str, flags: Mapping[str, Any]) -> SplitSettings:
    """How the data are split: as in training, but for flags that are given; by the defaults for another data set.

    Args:
        trained: what the bundle says.
        flags: field of SplitSettings to value, None where a flag was not given.

    Raises:
        SplitError: a flag would put patients into the split that the bundle was trained on.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    if trained is None or dataset not in trained.datasets:
        return SplitSettings(**given)
    chosen = dataclasses.replace(trained.split, **given)
    if differing := leaking_differences(trained, DataSettings(dataset, chosen), split=split):
        shown = " and ".join(
            f"{_flag(name)} {getattr(chosen, name)} (in training {getattr(trained.split, name)})" for name in differing
        )
        raise SplitError(
            f"{shown} can put patients that the bundle was trained on into the {split} split; leave it out."
        )
    return chosen


def check_origin(trained: DataSettings | None, matched: MatchedLabels, *, split: str) -> None:
    """Check by what was found that a split leaves the bundle's patients aside: made by the same settings, of the same
    patients.

    Warns, by logging, of official parts that were changed since, and of a prepared set that is another one.

    Raises:
        SplitError: a prepared set was split otherwise than in training; or a policy that moves patients moved some.
    """
    tested = find_origin(matched.frame)
    if trained is None or tested is None:
        return
    if differing := leaking_differences(trained, tested, split=split):
        raise SplitError(
            f"the prepared set was split otherwise than in training ({', '.join(differing)}), so that patients the "
            f"bundle was trained on can be in the {split} split; prepare the data with the training's split."
        )
    policy = get_split_policy(tested.split.policy)
    if has_other_patients(trained, tested, split=split):
        if not policy.is_stable:
            raise SplitError(
                f"the {split} split is not of the patients that training left aside: label table or list changed "
                f"since, so that patients the bundle was trained on can be in it; give those of the training."
            )
        if policy.needs_official:
            logger.warning(
                "the official parts are not those of the training: if this is the same data set, patients that the "
                "bundle was trained on can be in the %s split",
                split,
            )
    if trained.prepared and tested.prepared and trained.prepared != tested.prepared:
        logger.warning("the prepared set is not the one of the training, or has grown since")


def _flag(name: str) -> str:
    return f"--{FLAGS.get(name, name).replace('_', '-')}"

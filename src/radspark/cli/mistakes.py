"""The radiographs that a model ranks most wrongly, as pictures for a report; which they are is told to nobody."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import functions as F

from radspark.frames.image_schema import arrow_to_images
from radspark.frames.reader import read_images
from radspark.report import Mistake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from radspark.bundle import Bundle
    from radspark.cli.scored_table import ScoredTable

NUM_EACH = 4
"""Missed ones, and false alarms."""


@dataclass(frozen=True)
class Choice:
    """A row of the scored table, and what is wrong with it."""

    row: int
    finding: str
    is_present: bool
    probability: float
    placement: float


def choose_mistakes(table: ScoredTable) -> list[Choice]:
    """The missed ones with the most negatives above them and the false alarms with the most positives below them.

    One of each kind for a finding: ranks compare between common and rare findings, probabilities do not.
    """
    found = []
    for column, name in enumerate(table.labels):
        labels, scores = table.labels_NC[:, column], table.probabilities_NC[:, column]
        positives, negatives = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
        if not len(positives) or not len(negatives):
            continue
        missed, alarm = positives[np.argmin(scores[positives])], negatives[np.argmax(scores[negatives])]
        placements = (np.mean(scores[negatives] > scores[missed]), np.mean(scores[positives] < scores[alarm]))
        for row, is_present, placement in zip((missed, alarm), (True, False), placements, strict=True):
            found.append(Choice(int(row), name, is_present, float(scores[row]), float(placement)))
    worst = sorted(found, key=lambda choice: -choice.placement)
    return [choice for kind in (True, False) for choice in [c for c in worst if c.is_present is kind][:NUM_EACH]]


def pick_mistakes(matched: DataFrame, bundle: Bundle, table: ScoredTable) -> list[Mistake]:
    """Those radiographs, prepared as the network sees them.

    Args:
        matched: label table with `path`, or with `image` where it is decoded.
    """
    choices = choose_mistakes(table)
    # A table rather than a condition: conditions stand in plans, and so in Spark's event log.
    wanted = pa.table({"image_id": sorted({table.image_ids[choice.row] for choice in choices})})
    named = matched.sparkSession.createDataFrame(wanted)
    chosen = matched.join(F.broadcast(named), "image_id", "left_semi")
    if "image" not in matched.columns:
        rows = chosen.select("image_id", "path").collect()
        if not rows:
            return []
        paths = matched.sparkSession.createDataFrame(rows, "image_id string, path string")
        chosen = read_images(matched.sparkSession, paths, settings=bundle.preparation).where("error is null")
    read = chosen.select("image_id", "image").toArrow()
    if not read.num_rows:
        return []
    pixels = dict(zip(read["image_id"].to_pylist(), arrow_to_images(read["image"]), strict=True))
    return [
        Mistake(pixels[image], choice.finding, choice.is_present, choice.probability, choice.placement)
        for choice in choices
        if (image := table.image_ids[choice.row]) in pixels
    ]

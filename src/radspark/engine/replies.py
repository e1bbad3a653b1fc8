"""What comes back from the workers of a round, and what their failures and Spark's mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from radspark.errors import SetupError, TrainingError, UserCodeError
from radspark.training.round import StepRecord


@dataclass(frozen=True)
class RoundReply:
    """What the workers of a round measured."""

    steps: tuple[StepRecord, ...]
    labels_NC: NDArray[np.float32] | None
    """Of the validation samples, if the round ended an epoch."""
    probabilities_NC: NDArray[np.float32] | None

    @classmethod
    def of(cls, steps: Sequence[StepRecord], scores: Sequence[bytes], num_findings: int) -> RoundReply:
        """From the rows of labels and probabilities, float32 side by side, that workers send."""
        tables = [np.frombuffer(data, np.float32).reshape(-1, 2 * num_findings) for data in scores]
        both = np.concatenate(tables) if tables else None
        return cls(
            steps=tuple(steps),
            labels_NC=None if both is None else both[:, :num_findings],
            probabilities_NC=None if both is None else both[:, num_findings:],
        )


class RoundLostError(Exception):
    """A worker or its executor went away; the round can be run again from the same state."""


_REASONS = re.compile(
    r"ExecutorLostFailure \(executor \S+ exited[^\n:]*|Python worker (?:exited unexpectedly|failed to connect)"
    r"|Job \S+ cancelled|[Bb]arrier (?:stage|ResultStage)|SparkContext (?:was|has been) s\w+ down"
    r"|Checkpoint block rdd_\S+ not found"
)
"""The parts of Spark's reasons that we repeat: the rest can name files, which name patients."""


def explain(message: str) -> Exception:
    """A Python exception that reached Spark comes from before our own handling, such as a module that executors lack;
    everything else is a task, an executor or a host that went away."""
    _, found, traceback = message.partition("Traceback (most recent call last):")
    if found:
        return UserCodeError(f"a worker could not start:\n{found}{traceback.split('at org.apache.spark')[0].rstrip()}")
    reasons = list(dict.fromkeys(_REASONS.findall(message)))
    return RoundLostError(f"Spark ended the job ({'; '.join(reasons) or 'for a reason that is in its own log'})")


GRAVEST_FIRST = ("error", "setup", "no_room", "disk_full", "lost_peer")
"""Kinds of failures that workers tell of."""


def failure(kind: str, text: str) -> Exception:
    """The exception for a failure that a worker told of.

    Args:
        kind: one of GRAVEST_FIRST.
        text: for `setup` and `no_room` what there is to say; for the others the worker's traceback.
    """
    if kind == "error":
        return UserCodeError(f"a worker failed:\n{text}")
    if kind == "setup":
        return SetupError(text)
    if kind == "no_room":
        return TrainingError(text)
    if kind == "disk_full":
        return TrainingError(
            "the disk of a worker is full: its samples need room in Spark's local directory (spark.local.dir; with "
            "cache_level memory, in shared memory), 64 KiB for an image of 256 x 256; free some, or spread the samples "
            "over more executors."
        )
    return RoundLostError(text.strip().splitlines()[-1])

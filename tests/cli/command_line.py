"""The command line, run in this process."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from spark_jobs import spark_jobs


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str
    jobs: tuple[str | None, ...] = ()
    """Descriptions of Spark's jobs, in their order."""

    @property
    def sentence(self) -> str:
        """The one line on stderr that an error of the user's making gives."""
        lines = [line for line in self.err.splitlines() if not line.startswith("warning: ")]
        assert self.code == 2 and len(lines) == 1 and lines[0].startswith("error: "), (self.code, self.err)
        return lines[0]


@dataclass(frozen=True)
class Trained:
    """A run folder, and the command that made it."""

    run: Path
    data: Path
    outcome: Outcome


Radspark = Callable[..., Outcome]


@contextlib.contextmanager
def own_logging() -> Iterator[None]:
    """What the command does to this process's logging and warnings ends with it."""
    loggers = (logging.getLogger(), logging.getLogger("radspark"))
    before = [(logger, logger.handlers[:], logger.level) for logger in loggers]
    with warnings.catch_warnings():
        yield
    for logger, handlers, level in before:
        logger.handlers[:] = handlers
        logger.setLevel(level)


def run_radspark(*words: object) -> Outcome:
    """Run a command line in this process, with the session that is there."""
    from radspark.cli.main import run

    known = spark_jobs().keys()
    out, err = io.StringIO(), io.StringIO()
    with (
        own_logging(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        run([str(word) for word in words])
    jobs = tuple(text for job, text in sorted(spark_jobs().items()) if job not in known)
    return Outcome(int(stop.value.code or 0), out.getvalue(), err.getvalue(), jobs)


def train_words(data: Path, out: Path, *more: object) -> list[object]:
    """A training that takes seconds."""
    words = ["train", "--dataset", "nih", "--data-dir", data, "--out", out, "--backbone", "resnet10t"]
    return [
        *words,
        "--recipe",
        Path(__file__).parent / "constant.toml",
        "--image-size",
        32,
        "--epochs",
        1,
        "--batch-size",
        100,
        "--workers",
        1,
        "--validation-share",
        0.3,
        *more,
    ]

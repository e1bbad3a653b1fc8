"""Where words go: results to stdout, warnings and errors to stderr, live lines to a terminal and nowhere else."""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def say(text: str, *, style: str = "") -> None:
    """Print a result. Paths and commands are never broken into lines, so that they can be copied."""
    console.print(text, style=style, markup=False, soft_wrap=True)


def say_error(sentence: str) -> None:
    """Print what ended the command, in red, on stderr."""
    errors.print(f"error: {sentence}", style="red", markup=False, soft_wrap=True)


def command_name() -> str:
    """How this command can be typed again: `radspark` where the shell finds it, else the path that was typed."""
    typed, found = Path(sys.argv[0]), shutil.which("radspark")
    if typed.name != "radspark" or (found is not None and Path(found).resolve() == typed.resolve()):
        return "radspark"
    return shlex.quote(str(typed))


def working(message: str) -> AbstractContextManager[object]:
    """A spinner while something is done, where someone watches."""
    return console.status(message) if console.is_terminal else nullcontext()


@contextmanager
def working_on(spark: SparkSession, message: str) -> Iterator[None]:
    """The same, and Spark's own page says it of the jobs meanwhile."""
    from radspark.frames.described import described

    with working(f"{message} ..."), described(spark, f"radspark: {message}"):
        yield


class LogLines(logging.Handler):
    """Log records as lines on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record."""
        # Where both are one terminal, the console that draws the live line has to print above it.
        target = console if console.is_terminal and errors.is_terminal else errors
        text = f"{record.levelname.lower()}: {self.format(record)}"
        target.print(text, style="yellow", markup=False, soft_wrap=True)

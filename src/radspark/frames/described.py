"""Descriptions of Spark jobs, so that Spark's own page tells what radspark is at."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from radspark.frames.session import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DESCRIPTION = "spark.job.description"

F = TypeVar("F", bound=Callable[..., Any])


@contextmanager
def described(spark: SparkSession, text: str) -> Iterator[None]:
    """Jobs that this thread starts inside the block carry the text; a caller's own is back afterwards.

    Spark Connect has no such thing.
    """
    if is_connect(spark):
        yield
        return
    context = spark.sparkContext
    before = context.getLocalProperty(DESCRIPTION)
    context.setJobDescription(text)
    try:
        yield
    finally:
        context.setLocalProperty(DESCRIPTION, before)  # type: ignore[arg-type]


def describes(text: str) -> Callable[[F], F]:
    """Decorates a function whose first argument is `spark`: the jobs that it starts carry the text."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with described(args[0] if args else kwargs["spark"], text):
                return function(*args, **kwargs)

        return cast(F, run)

    return decorate

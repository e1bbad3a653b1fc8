"""What workers say in their executor's log: radspark's own log lines, each with the round and the worker's rank."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

FORMAT = "%(asctime)s %(levelname)s {round_name}, {who}: %(message)s"


@contextmanager
def worker_log(round_name: str, who: str) -> Iterator[None]:
    """Send radspark's log lines to this process's stderr, which Spark keeps as the executor's, during the block.

    Spark uses a Python process for several rounds, so nothing may stay behind.

    Args:
        who: the rank, or the Spark task of a worker that has none yet.
    """
    own = logging.getLogger("radspark")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter(FORMAT.format(round_name=round_name, who=who)))
    level = own.level
    own.addHandler(handler)
    own.setLevel(logging.INFO)
    try:
        yield
    finally:
        own.removeHandler(handler)
        own.setLevel(level)

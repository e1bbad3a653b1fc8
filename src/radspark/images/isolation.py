"""Runs work on foreign bytes in a child process, so that a crash, a hang or a flood of memory costs one item only.

The child is a fork of the caller: it sees the inputs without copying them, and its memory goes when it ends. What the
work is, and what becomes of a lost item, is the caller's.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Final, Generic, TypeVar

T = TypeVar("T")
TIMEOUT: Final = "timeout"
MEMORY: Final = "memory"


@dataclass(frozen=True)
class Lost:
    """An item whose child ended, or was ended, while it worked on it."""

    reason: str
    """`timeout`, `memory`, or how the child ended, such as `SIGSEGV`."""


@dataclass(frozen=True)
class Isolation(Generic[T]):
    """Bounds on each item of work."""

    max_seconds: float
    """On the clock, for one item; then its child is killed."""
    max_memory: int
    """Bytes of address space that the child may add to what its parent had; then its allocations fail."""

    def run(self, work: Callable[[int], T], num_items: int) -> Iterator[T | Lost]:
        """`work(0)`, `work(1)`, ... in one child, and in a new one after each that is lost.

        Args:
            work: must not start threads. Its result is pickled; large ones go through memory that parent and child
                share, such as `mmap.mmap(-1, n)`.
        """
        done = 0
        while done < num_items:
            for result in self._run_child(work, range(done, num_items)):
                done += 1
                yield result

    def _run_child(self, work: Callable[[int], T], items: range) -> Iterator[T | Lost]:
        """The results of one child; the last of them is `Lost` if it did not come to its end."""
        inbox, outbox = Pipe(duplex=False)
        pid = _fork()
        if pid == 0:
            inbox.close()
            self._work_and_exit(work, items, outbox)
        outbox.close()
        ended, left = False, len(items)
        try:
            while left and inbox.poll(self.max_seconds):
                result = inbox.recv()
                if isinstance(result, _Failed):
                    raise RuntimeError(f"isolated work failed:\n{result.traceback}")
                left -= 1
                yield result
            ended = not left
        except (EOFError, ConnectionResetError):
            ended = True
        finally:
            inbox.close()
            status = _end(pid, kill=not ended)
        if left:
            yield Lost(_describe(status) if ended else TIMEOUT)

    def _work_and_exit(self, work: Callable[[int], T], items: range, outbox: Connection) -> None:
        """The child's life. It leaves without Python's clean-up, which would touch what belongs to its parent."""
        try:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _limit_memory(self.max_memory)
            for item in items:
                outbox.send(_try(work, item))
        except BrokenPipeError:
            os._exit(0)
        finally:
            os._exit(1)


@dataclass(frozen=True)
class _Failed:
    """The work itself raised: a bug, for the parent to raise."""

    traceback: str


def _try(work: Callable[[int], T], item: int) -> T | Lost | _Failed:
    try:
        return work(item)
    except MemoryError:
        return Lost(MEMORY)
    except Exception:  # noqa: BLE001  raised again by the parent
        return _Failed(traceback.format_exc())


def _fork() -> int:
    with warnings.catch_warnings():
        # Python 3.12 warns of threads. The child runs decoders only, which take no lock of theirs.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _limit_memory(extra: int) -> None:
    """Let this process grow by so many bytes; where the system does not tell its size, it is left as it is."""
    sizes = Path("/proc/self/statm")
    if sys.platform == "linux" and sizes.exists():
        size = int(sizes.read_text().split()[0]) * resource.getpagesize()
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        limit = size + extra if hard == resource.RLIM_INFINITY else min(size + extra, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def _end(pid: int, *, kill: bool) -> int:
    """Wait for the child, and say how it ended."""
    if kill:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _describe(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit code {status}"

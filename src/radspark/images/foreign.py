"""The border to Pillow and pydicom: what they raise on a bad file becomes one error, and their warnings stay inside."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from radspark.errors import UnreadableImageError


class _WarningsOff:
    """Silences warnings while any thread is inside; the last one out restores the filters.

    `warnings.catch_warnings` alone is not safe for threads that overlap: one could restore what another had set.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._scope = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._scope = warnings.catch_warnings()
                self._scope.__enter__()
                warnings.simplefilter("ignore")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._scope.__exit__(None, None, None)


_warnings_off = _WarningsOff()


@contextmanager
def foreign_decoder(reason: str) -> Iterator[None]:
    """Turn any exception of a decoder but MemoryError into UnreadableImageError(reason), and keep its warnings inside.

    On a damaged file these libraries raise nearly every built-in exception. Their messages are not passed on, since
    they can quote patient data; the exception itself is kept as the cause.
    """
    with _warnings_off:
        try:
            yield
        except (UnreadableImageError, MemoryError):
            raise
        except Exception as error:
            raise UnreadableImageError(reason) from error

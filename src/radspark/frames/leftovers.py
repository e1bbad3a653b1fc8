"""Folders that belong to a process: a later one removes those whose owner ended without doing so, as by `kill -9`."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)


def claim_folder(base: Path, owner: psutil.Process) -> Path:
    """A process's own folder below `base`, mode 0700, made if need be; those of processes that are gone are removed.

    Raises:
        PermissionError: `base` is another user's.
    """
    base.mkdir(mode=0o700, parents=True, exist_ok=True)
    if base.stat().st_uid != os.getuid():
        raise PermissionError(f"{base} belongs to another user.")
    for folder in base.iterdir():
        if not _is_alive(folder.name):
            logger.info("removing what an earlier process left in %s", base)
            shutil.rmtree(folder, ignore_errors=True)
    own = base / _name(owner)
    own.mkdir(mode=0o700, exist_ok=True)
    return own


def _name(process: psutil.Process) -> str:
    """Numbers are used again, but not at the same time."""
    return f"{process.pid}-{process.create_time():.2f}"


def _is_alive(name: str) -> bool:
    try:
        process = psutil.Process(int(name.split("-", maxsplit=1)[0]))
        return process.status() != psutil.STATUS_ZOMBIE and _name(process) == name
    except (ValueError, psutil.NoSuchProcess):
        return False

"""One sentence for the user from what was raised: of the operating system, of a worker, of Spark."""

from __future__ import annotations

import errno
import re

from radspark.errors import UserCodeError

PATH = re.compile(r"(?:\b[A-Za-z][A-Za-z0-9+.-]*:)?/.*")
"""A path and what follows: where a name with spaces ends cannot be told."""
REMEDIES = {
    errno.ENOSPC: "free some space, or choose another folder.",
    errno.EDQUOT: "free some space, or choose another folder.",
    errno.EROFS: "choose another folder.",
    errno.ENOENT: "check the path.",
    errno.ENOTDIR: "a part of the path is a file; check the path.",
    errno.EISDIR: "give a file, not a folder.",
}


def describe_user_error(error: Exception) -> str:
    """What is wrong and how to mend it, without a stack trace."""
    if isinstance(error, OSError):
        return describe_os_error(error)
    if isinstance(error, UserCodeError):
        first, *_, last = str(error).strip().splitlines()
        return f"{first.rstrip(':')}: {last.strip()} (--debug shows where)"
    return str(error)


def describe_os_error(error: OSError) -> str:
    """What the operating system refused, and where."""
    if error.errno is None:
        return str(error)
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{where}; {REMEDIES.get(error.errno, 'check the path and its permissions.')}"


def describe_spark_failure(error: Exception) -> str:
    """The first line of what Spark says that is a reason, up to a path in it: what is on a screen ends in log files."""
    lines = [line.strip().removeprefix(": ") for line in str(error).splitlines()]
    reasons = [line for line in lines if line and not line.startswith("An error occurred while calling")]
    reason = PATH.sub("[a path]", reasons[0]) if reasons else type(error).__name__
    return f"Spark failed: {reason} (--debug shows where)"

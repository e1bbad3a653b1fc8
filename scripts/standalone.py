"""A Spark standalone cluster on this machine, from the pip-installed pyspark: a master and workers as real processes.

Prints the master's URL when all workers have registered, and ends the cluster on Ctrl-C, on SIGTERM, or when its input
is closed.

Run: python scripts/standalone.py [--workers 2] [--cores 1] [--memory 1g]
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyspark

from radspark.frames.java import find_java

HOST = "127.0.0.1"
START_SECONDS = 60.0


class Cluster:
    """A master and its workers, as a `with` block."""

    def __init__(self, *, workers: int, cores: int, memory: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="radspark-standalone-"))
        self.cores = cores
        self.memory = memory
        self.workers: list[subprocess.Popen[bytes]] = []
        self.master = self._start("master", "org.apache.spark.deploy.master.Master", ["--port", "0"])
        try:
            self.url = self._find("master", r"Starting Spark master at (spark://\S+)")
            for _ in range(workers):
                self.add_worker()
        except BaseException:
            self.close()
            raise

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker and wait until the master knows it."""
        name = f"worker-{len(self.workers)}"
        options = ["--port", "0", "--cores", str(self.cores), "--memory", self.memory]
        worker = self._start(name, "org.apache.spark.deploy.worker.Worker", [*options, self.url])
        self.workers.append(worker)
        self._find(name, r"(Successfully registered with master)")
        return worker

    def _start(self, name: str, java_class: str, options: Sequence[str]) -> subprocess.Popen[bytes]:
        home = Path(pyspark.__file__).parent
        folder = self.folder / name
        folder.mkdir()
        variables = {
            "JAVA_HOME": str(find_java().path),
            "SPARK_HOME": str(home),
            "SPARK_LOCAL_IP": HOST,
            "SPARK_WORKER_DIR": str(folder),
            "SPARK_NO_DAEMONIZE": "1",
        }
        with (self.folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [str(home / "bin" / "spark-class"), java_class, "--host", HOST, "--webui-port", "0", *options],
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _find(self, name: str, pattern: str) -> str:
        """The first match in a process's log, once it is there."""
        log = self.folder / f"{name}.log"
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if found := re.search(pattern, log.read_text(errors="replace")):
                return found.group(1)
            time.sleep(0.2)
        raise SystemExit(f"{name} did not start within {START_SECONDS:.0f} s:\n{log.read_text(errors='replace')}")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes and remove the folder."""
        processes = [*self.workers, self.master]
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory", default="1g", help="of each worker")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with Cluster(workers=arguments.workers, cores=arguments.cores, memory=arguments.memory) as cluster:
        print(cluster.url, flush=True)
        try:
            sys.stdin.read()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()

"""Made-up reports, and a page in Debian's chromium spoken to over its debugging pipe (Chrome DevTools Protocol)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from radspark.labels import NIH_FINDINGS
from radspark.metrics import Bootstrap, Scored, evaluate_scored, evaluate_scores, rank, roc_curves
from radspark.metrics.reliability import reliability_diagram
from radspark.metrics.subgroups import evaluate_subgroups
from radspark.report import DataSummary, EvaluationReport, ExampleRadiograph, Mistake, SplitSize, TrainingReport
from radspark.settings import PRESETS, to_dict

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)


class BrowserPage:
    """One tab: opens files, measures, takes pictures, and remembers what was requested."""

    def __init__(self, commands: int, answers: BufferedReader) -> None:
        self._commands, self._answers = commands, answers
        self._buffer, self._number, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Give a command and wait for its answer; what happens meanwhile goes to `events`."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path: Path, *, width: int, dark: bool = False) -> None:
        """Load a file at a width in pixels, from scratch."""
        self.events.clear()
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Page.navigate", url=path.as_uri())
        while not self.sent("Page.loadEventFired"):
            self.events.append(self._read())

    def sent(self, method: str) -> list[dict[str, Any]]:
        """What the browser has told of one kind since the page was opened."""
        return [event for event in self.events if event["method"] == method]

    def evaluate(self, expression: str) -> Any:
        return self.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            chunk = self._answers.read1()
            assert chunk, "chromium went away"
            self._buffer += chunk
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)


@contextmanager
def browse(program: str, profile: Path) -> Iterator[BrowserPage]:
    """A fresh chromium, ended with the context. It reads commands from descriptor 3 and answers on 4."""
    command_end, commands = os.pipe()
    answers, answer_end = os.pipe()
    ends = f"exec 3<&{command_end} 4>&{answer_end}; exec "
    line = ends + " ".join([program, *_FLAGS, f"'--user-data-dir={profile}'"])
    process = subprocess.Popen(
        ["/bin/bash", "-c", line],
        pass_fds=(command_end, answer_end),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_end)
    os.close(answer_end)
    try:
        with os.fdopen(answers, "rb") as stream:
            yield BrowserPage(commands, stream)
    finally:
        os.close(commands)
        process.terminate()
        process.wait(timeout=30)


@pytest.fixture
def browser_page(tmp_path: Path) -> Iterator[BrowserPage]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with browse(program, tmp_path / "profile") as page:
        yield page


def _some_radiographs() -> tuple[DataSummary, dict[str, Any]]:
    generator = np.random.default_rng(0)
    labels = (generator.random((300, len(NIH_FINDINGS))) < 0.1).astype(np.float32)
    labels[:, NIH_FINDINGS.index("Hernia")] = 0
    scores = generator.random(labels.shape) * 0.7 + 0.3 * labels
    data = DataSummary(
        name="NIH ChestX-ray14",
        splits=(
            SplitSize("train", 1_900, unreadable=2, patients=1_200),
            SplitSize("validation", 300, patients=250),
        ),
        positives={name: int(labels[:, i].sum()) for i, name in enumerate(NIH_FINDINGS)},
        no_finding=int((labels.sum(axis=1) == 0).sum()),
    )
    example = ExampleRadiograph(
        pixels=np.arange(64 * 48, dtype=np.uint32).reshape(64, 48).astype(np.uint8),
        present=("Pleural_Thickening",),
        top=(("Mass", 0.61), ("Pleural_Thickening", 0.25)),
    )
    return data, {
        "evaluation": evaluate_scores(labels, scores, NIH_FINDINGS),
        "curves": roc_curves(labels, scores, NIH_FINDINGS),
        "examples": [example] * 4,
        "recipe": to_dict(PRESETS["deck-adam"]),
        "versions": {"torch": "2.13.0"},
        "created": "22 November 2026",
    }


@pytest.fixture(scope="session")
def training_report() -> TrainingReport:
    """Two epochs on NIH's findings; Hernia is undefined."""
    data, results = _some_radiographs()
    history = [
        {
            "epoch": epoch,
            "learning_rate": 1e-4 / epoch,
            "train_loss": 0.3 / epoch,
            "validation": {"mean_auroc": 0.6 + epoch / 50, "mean_average_precision": 0.2, "loss": 0.31 / epoch},
            "images_per_second": 5.25,
            "seconds": 62.0,
            "num_workers": 2,
        }
        for epoch in (1, 2)
    ]
    return TrainingReport(title="A first run", data=data, history=history, kept_epoch=2, **results)


@pytest.fixture(scope="session")
def evaluation_report() -> EvaluationReport:
    data, results = _some_radiographs()
    return EvaluationReport(title="A first test", data=data, split="test", **results)


@pytest.fixture(scope="session")
def full_report() -> EvaluationReport:
    """With all that a report of an evaluation can have."""
    data, results = _some_radiographs()
    generator = np.random.default_rng(1)
    labels = (generator.random((300, len(NIH_FINDINGS))) < 0.1).astype(np.float32)
    scored = Scored.of(
        labels,
        generator.random(labels.shape) * 0.7 + 0.3 * labels,
        NIH_FINDINGS,
        patients=np.arange(300) // 2,
    )
    columns = [(name, labels[:, i], scored.scores_NC[:, i]) for i, name in enumerate(NIH_FINDINGS)]
    return EvaluationReport(
        title="A first test",
        data=data,
        split="test",
        precision_recall={name: rank(*column).precision_recall_curve() for name, *column in columns},
        reliability={name: reliability_diagram(*column) for name, *column in columns},
        subgroups=evaluate_subgroups(
            scored, {"sex": ["FM"[row // 2 % 2] for row in range(300)]}, bootstrap=Bootstrap(resamples=100)
        ),
        mistakes=[Mistake(np.zeros((64, 64), np.uint8), "Pleural_Thickening", True, 0.01, 0.99)] * 4,
        card={"network": "densenet121", "trained on": "nih"},
        **{**results, "evaluation": evaluate_scored(scored, bootstrap=Bootstrap(resamples=100))},
    )

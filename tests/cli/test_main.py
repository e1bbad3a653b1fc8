"""Exit codes, and what is said where nobody's Spark is needed."""

from __future__ import annotations

import errno
import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import own_logging
from pyspark.errors import PySparkException

from radspark import __version__
from radspark.cli import data, failures
from radspark.cli.main import run
from radspark.errors import ArgumentError, UserCodeError

if TYPE_CHECKING:
    from command_line import Radspark

COMMANDS = (["train"], ["evaluate"], ["predict"], ["plan"], ["demo"], ["data", "phantom"], ["data", "check"])


def test_version_is_the_packages(radspark: Radspark) -> None:
    outcome = radspark("--version")
    assert (outcome.code, outcome.out.strip()) == (0, f"radspark {__version__}")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_explains_every_option(radspark: Radspark, command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    outcome = radspark(*command, "--help")
    options = [line.strip("│ ") for line in outcome.out.splitlines() if "--" in line and "│" in line]
    assert outcome.code == 0
    assert options
    # name, type, text: an option without a text would end after its type.
    assert [line for line in options if len(line.removeprefix("*").split()) < 4] == []


def test_help_shows_the_defaults_that_live_in_the_preset(radspark: Radspark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    lines = radspark("train", "--help").out.splitlines()
    shown = {line.split()[1]: line for line in lines if line.startswith("│ --")}
    assert "densenet121" in shown["--backbone"]
    assert "0.0003" in shown["--learning-rate"]
    assert "every free slot" in shown["--workers"]
    without = [name for name, line in shown.items() if "[default" not in line]
    assert without == ["--help", "--conf"] or set(without) == {"--help", "--conf", "--recipe", "--resume"}


def raise_error(error: BaseException) -> object:
    def choose_data(*_: object, **__: object) -> None:
        raise error

    return choose_data


CHECK = ("data", "check", "--dataset", "nih", "--data-dir", "d")


def test_an_error_is_one_sentence_and_the_trace_is_shown_with_debug(
    radspark: Radspark, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "choose_data", raise_error(ArgumentError("size must be 5.")))
    assert radspark(*CHECK).sentence == "error: size must be 5."
    with pytest.raises(ValueError, match="size must be 5"):
        radspark(*CHECK, "--debug")


def test_a_failure_of_spark_is_its_first_line(radspark: Radspark, monkeypatch: pytest.MonkeyPatch) -> None:
    error = PySparkException("An error occurred while calling o1.x.\n: org.X: no space\n\tat java.lang.Y")
    monkeypatch.setattr(data, "choose_data", raise_error(error))
    outcome = radspark(*CHECK)
    assert outcome.code == 1
    assert outcome.err == "error: Spark failed: org.X: no space (--debug shows where)\n"


def test_a_bug_keeps_its_trace(radspark: Radspark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "choose_data", raise_error(KeyError("x")))
    with pytest.raises(KeyError):
        radspark(*CHECK)


def test_a_worker_that_failed_is_told_by_its_last_line() -> None:
    error = UserCodeError("a worker failed:\nTraceback (most recent call last):\n  File x\nRuntimeError: no memory\n")
    assert failures.describe_user_error(error) == "a worker failed: RuntimeError: no memory (--debug shows where)"


def test_a_full_disk_is_told_with_its_remedy() -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/out/x")
    expected = "No space left on device: /out/x; free some space, or choose another folder."
    assert failures.describe_user_error(error) == expected


def test_radsparks_warnings_are_lines_on_stderr_and_other_packages_are_silent(
    radspark: Radspark, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warn(*_: object, **__: object) -> None:
        logging.getLogger("radspark.x").info("hidden")
        logging.getLogger("radspark.x").warning("3 of %d files", 5)
        logging.getLogger("py4j").error("hidden")
        logging.exception("hidden, and by the root logger")
        raise ArgumentError("end")

    monkeypatch.setattr(data, "choose_data", warn)
    assert radspark(*CHECK).err == "warning: 3 of 5 files\nerror: end\n"


def test_a_hub_that_is_tried_again_is_silent(radspark: Radspark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_VERBOSITY", "")
    monkeypatch.delenv("HF_HUB_VERBOSITY")
    radspark("--version")
    told = "from huggingface_hub.utils import logging; logging.get_logger('huggingface_hub.x').warning('Retrying')"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_long_lines_are_not_broken(radspark: Radspark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "choose_data", raise_error(ArgumentError("word " * 100)))
    assert len(radspark(*CHECK).err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--conf", "spark.x"), "--conf must be KEY=VALUE, got 'spark.x'."),
        (("--split-policy", "pacient"), "Did you mean 'patient'?"),
        (("--dataset", "nhi"), "Did you mean 'nih'?"),
    ],
)
def test_a_wrong_option_is_refused_before_spark_starts(radspark: Radspark, words: tuple[str, ...], said: str) -> None:
    assert said in radspark(*CHECK, *words).sentence


def test_a_bug_is_not_told_as_a_mistake_of_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "choose_data", raise_error(ValueError("shapes differ")))
    with own_logging(), pytest.raises(ValueError, match="shapes differ"):
        run(list(CHECK))

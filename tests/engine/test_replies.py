"""What a lost round is told as."""

from __future__ import annotations

import logging

import pytest

from radspark.engine.replies import explain, failure
from radspark.engine.worker import tell_failure
from radspark.errors import SetupError, TrainingError
from radspark.training.room import NoRoomError


def test_a_reason_of_sparks_is_repeated_without_the_file_that_it_names(caplog: pytest.LogCaptureFixture) -> None:
    message = (
        "Job aborted due to stage failure: Task 0 failed: ExecutorLostFailure (executor 1 exited caused by one of the "
        "running tasks): java.io.FileNotFoundException: File file:/data/John Smith 00000004_000.png does not exist"
    )
    with caplog.at_level(logging.DEBUG, logger="radspark"):
        said = str(explain(message))
    assert said == "Spark ended the job (ExecutorLostFailure (executor 1 exited caused by one of the running tasks))"
    assert caplog.messages == []


@pytest.mark.parametrize(("raised", "kind"), [(NoRoomError, TrainingError), (SetupError, SetupError)])
def test_what_the_user_can_mend_is_told_as_the_worker_told_it(raised: type[Exception], kind: type[Exception]) -> None:
    told = failure(*tell_failure(raised("no room for the samples of a worker; raise it.")))
    assert (type(told), str(told)) == (kind, "no room for the samples of a worker; raise it.")

"""The `radspark` command: gathers the commands, and turns what goes wrong into one red sentence and an exit code.

Exit codes: 0 done; 1 Spark failed, or a bug; 2 an error of the user's making; 3 done, but some files cannot be read
(`predict`) or the data are not clean (`data check`); 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

import typer
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from radspark import __version__
from radspark.cli import calibrate, compare, data, demo, evaluate, plan, predict, train
from radspark.cli.console import LogLines, say_error
from radspark.cli.failures import describe_spark_failure, describe_user_error
from radspark.errors import RadsparkError

SPARK_FAILURE = 1
USER_ERROR = 2

app = typer.Typer(
    name="radspark",
    help="Train, test and serve classifiers of chest X-rays on Apache Spark.",
    epilog="First time? `radspark demo` shows all of it on synthetic radiographs.\n\n"
    "`radspark COMMAND --help` says what a command takes, and shows examples.\n\n"
    "`--debug`, anywhere, shows the stack trace of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command("train", epilog=train.EXAMPLES)(train.train)
app.command("evaluate", epilog=evaluate.EXAMPLES)(evaluate.evaluate)
app.command("calibrate", epilog=calibrate.EXAMPLES)(calibrate.calibrate)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("predict", epilog=predict.EXAMPLES)(predict.predict)
app.command("plan", epilog=plan.EXAMPLES)(plan.plan)
app.command("demo")(demo.demo)


@app.callback(invoke_without_command=True)
def main(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Train, test and serve classifiers of chest X-rays on Apache Spark."""
    if version:
        print(f"radspark {__version__}")
        raise typer.Exit


def run(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command line (this process's, unless given) and exit with its code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    _set_up_messages(debug=debug)
    try:
        app([word for word in words if word != "--debug"], prog_name="radspark")
    except (RadsparkError, OSError) as error:
        if debug:
            raise
        say_error(describe_user_error(error))
        sys.exit(USER_ERROR)
    except (PySparkException, Py4JError) as error:
        if debug:
            raise
        say_error(describe_spark_failure(error))
        sys.exit(SPARK_FAILURE)
    sys.exit(0)


def _set_up_messages(*, debug: bool) -> None:
    """radspark's warnings as plain lines on stderr; other packages' only with --debug.

    py4j logs stack traces by the root logger, when Ctrl-C comes while it waits for Spark: that is always.
    """
    lines = LogLines()
    lines.setFormatter(logging.Formatter("%(message)s"))
    logging.basicConfig(handlers=[lines if debug else logging.NullHandler()], level=logging.WARNING, force=True)
    own = logging.getLogger("radspark")
    own.handlers[:] = [] if debug else [lines]
    own.setLevel(logging.DEBUG if debug else logging.WARNING)
    if not debug:
        warnings.simplefilter("ignore")
        # Its logger has a handler of its own, and sets its level when timm imports it.
        os.environ.setdefault("HF_HUB_VERBOSITY", "error")

"""The `radspark` command: gathers the commands and turns errors of the user's making into one red sentence, exit 2."""

from __future__ import annotations

import logging
import sys
import warnings

import typer
from rich.console import Console
from rich.logging import RichHandler

from radspark import __version__
from radspark.cli import data, demo, evaluate, predict, train
from radspark.errors import RadsparkError

USER_ERROR = 2

app = typer.Typer(
    name="radspark",
    help="Train, test and serve classifiers of chest X-rays on Apache Spark.",
    epilog="`--debug` anywhere shows the stack trace of an error. `radspark COMMAND --help` says more.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("demo")(demo.demo)


@app.callback(invoke_without_command=True)
def main(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    """Train, test and serve classifiers of chest X-rays on Apache Spark."""
    if version:
        print(f"radspark {__version__}")
        raise typer.Exit


def run() -> None:
    """Entry point: run the command line and exit with its code."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    _set_up_logging(debug=debug)
    try:
        app()
    except (RadsparkError, ValueError, OSError) as error:
        if debug:
            raise
        sentence = describe_os_error(error) if isinstance(error, OSError) else str(error)
        Console(stderr=True, highlight=False).print(f"error: {sentence}", style="red", markup=False, soft_wrap=True)
        sys.exit(USER_ERROR)


def describe_os_error(error: OSError) -> str:
    """One sentence of what the operating system refused, and where."""
    where = f": {error.filename}" if error.filename else ""
    return f"{error.strerror or error}{where}; check the path, its permissions and the free space."


def _set_up_logging(*, debug: bool) -> None:
    """radspark's warnings as plain lines on stderr; Python's own warnings only with --debug."""
    handler = RichHandler(console=Console(stderr=True), show_time=False, show_path=False, show_level=True, markup=False)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], format="%(message)s", force=True)
    logging.getLogger("radspark").setLevel(logging.DEBUG if debug else logging.WARNING)
    for noisy in ("py4j", "pyspark", "timm", "huggingface_hub"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    if not debug:
        warnings.simplefilter("ignore")

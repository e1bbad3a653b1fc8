"""`radspark evaluate`: its options; `evaluate_bundle` judges a bundle, `evaluate_predictions` others' predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from radspark.cli.console import say
from radspark.cli.options import DATA, Conf, LabelRules, Master, parse_conf
from radspark.datasets.registry import DATASETS
from radspark.datasets.splits import SPLIT_POLICIES
from radspark.errors import ArgumentError
from radspark.identifiers import POLICIES, get_identifiers

STATISTICS = "Statistics"
PREDICTIONS = "Predictions of any model, in place of --bundle"
OF_BUNDLE = (
    "bundle",
    "dataset",
    "data_dir",
    "split",
    "split_policy",
    "validation_share",
    "split_seed",
    "split_file",
    "label_rule",
    "operating_point",
    "combine",
    "master",
    "conf",
)
OF_PREDICTIONS = ("labels", "prefix", "id_column", "group_column", "thresholds")
EXAMPLES = """Examples:

  radspark evaluate --bundle runs/first/bundle --dataset nih --data-dir ChestX-ray14 --out runs/first/test

  radspark evaluate --predictions theirs.csv --labels Data_Entry_2017_v2020.csv --prefix prob_ --out theirs"""


def split_option(text: str, **more: Any) -> Any:
    """An option of the split, which is the bundle's unless it is given."""
    return typer.Option(help=text, show_default="as in training", rich_help_panel=DATA, **more)


def predictions_option(text: str, **more: Any) -> Any:
    """An option of `--predictions`."""
    return typer.Option(help=text, rich_help_panel=PREDICTIONS, **{"show_default": False, **more})


def evaluate(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(help="Folder for metrics.json, predictions.parquet and report.html.", metavar="DIR")
    ],
    bundle: Annotated[
        str | None,
        typer.Option(help="Folder of the bundle, on any file system of Spark.", metavar="DIR", show_default=False),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(
            help=f"Layout of the data: {', '.join(DATASETS)}, or prepared.", show_default=False, rich_help_panel=DATA
        ),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(
            help="Folder with label table, lists and images, on any file system of Spark.",
            metavar="DIR",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="train, validation or test.", show_default="test", rich_help_panel=DATA)
    ] = None,
    split_policy: Annotated[str | None, split_option(f"How the data are split: {', '.join(SPLIT_POLICIES)}.")] = None,
    validation_share: Annotated[float | None, split_option("Share of training patients kept for validation.")] = None,
    split_seed: Annotated[int | None, split_option("Of the draw of patients for the split.")] = None,
    split_file: Annotated[
        str | None, split_option("With --split-policy file: CSV or Parquet with image_id and split.", metavar="FILE")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resamples.", rich_help_panel=STATISTICS)] = 0,
    label_rule: LabelRules = None,
    predictions: Annotated[
        Path | None, predictions_option("CSV or Parquet: an id column and a column per finding.", metavar="FILE")
    ] = None,
    labels: Annotated[
        Path | None,
        predictions_option(
            "CSV or Parquet: NIH's own table, or an id column and a column per finding.", metavar="FILE"
        ),
    ] = None,
    prefix: Annotated[str, predictions_option("Before the findings' names in the predictions, such as prob_.")] = "",
    id_column: Annotated[
        str | None, predictions_option("Image ids, in the predictions and, where they have it, in the labels.")
    ] = None,
    group_column: Annotated[
        str | None,
        predictions_option("Whose equal values are one patient.", show_default="patient_id, where it is there"),
    ] = None,
    thresholds: Annotated[
        Path | None,
        predictions_option(
            "CSV or Parquet with finding and threshold, chosen on other radiographs.",
            metavar="FILE",
            show_default="0.5 for all",
        ),
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(help="Resamples of the patients for intervals; 0 for none.", rich_help_panel=STATISTICS)
    ] = 2000,
    interval: Annotated[
        str, typer.Option(help="Kind of interval: bca or percentile.", rich_help_panel=STATISTICS)
    ] = "bca",
    subgroup: Annotated[
        list[str] | None,
        typer.Option(
            help="Column to judge part by part; may be repeated; `none` for none.",
            show_default="age, sex and view, where they are known",
            rich_help_panel=STATISTICS,
        ),
    ] = None,
    operating_point: Annotated[
        str | None,
        typer.Option(
            help="Of the bundle, for sensitivity and its kin: youden, sensitivity or specificity.",
            show_default="youden",
            rich_help_panel=STATISTICS,
        ),
    ] = None,
    combine: Annotated[
        str | None,
        typer.Option(
            help="study: the views of a study are judged together, one row for each study.",
            show_default="single radiographs",
            rich_help_panel=STATISTICS,
        ),
    ] = None,
    combine_by: Annotated[
        str | None,
        typer.Option(
            help="With --combine: mean or max of the views' probabilities.",
            show_default="mean",
            rich_help_panel=STATISTICS,
        ),
    ] = None,
    identifiers: Annotated[
        str,
        typer.Option(help=f"Patients in predictions.parquet: {', '.join(POLICIES)}.", rich_help_panel=DATA),
    ] = "hash",
    master: Master = None,
    conf: Conf = None,
) -> None:
    """Test a bundle on radiographs that it has not seen, or anybody's predictions: every figure with its interval.

    The data set is split as it was in training. Options by which training patients could be tested on are refused.
    """
    from radspark.cli.results import EvaluationChoices
    from radspark.metrics import Bootstrap

    if combine not in (None, "study"):
        raise ArgumentError(f"--combine must be study, got {combine!r}.")
    if combine is None and combine_by is not None:
        raise ArgumentError("--combine-by must come with --combine study.")
    if subgroup and subgroup != ["none"] and not bootstrap:
        raise ArgumentError("--subgroup needs resamples to tell gaps from chance; leave out --bootstrap 0.")
    choices = EvaluationChoices(
        bootstrap=Bootstrap(bootstrap, check_interval(interval), seed=seed) if bootstrap else None,
        operating_point=operating_point,
        subgroups=None if subgroup is None else tuple(name for name in subgroup if name != "none"),
        identifiers=get_identifiers(identifiers),
        combine=(combine_by or "mean") if combine else None,
    )
    if predictions is not None:
        from radspark.cli.evaluate_predictions import PredictionFiles, evaluate_predictions

        refuse(OF_BUNDLE, context.params, beside="--predictions")
        if labels is None:
            raise ArgumentError("--predictions must come with --labels.")
        files = PredictionFiles(
            predictions,
            labels,
            prefix=prefix,
            id_column=id_column,
            group_column=group_column,
            thresholds=thresholds,
        )
        evaluate_predictions(files, out, choices=choices)
    else:
        from radspark.cli.evaluate_bundle import evaluate_to_folder

        if bundle is None or dataset is None or data_dir is None:
            raise ArgumentError(
                "--bundle, --dataset and --data-dir must be given together, or --predictions and --labels."
            )
        refuse(OF_PREDICTIONS, context.params, beside="--bundle")
        evaluate_to_folder(
            bundle,
            dataset,
            data_dir,
            out,
            split=split or "test",
            split_policy=split_policy,
            validation_share=validation_share,
            split_seed=split_seed,
            split_file=split_file,
            master=master,
            conf=parse_conf(conf),
            label_rules=label_rule or (),
            choices=choices,
        )
    say(
        f"\nmetrics      {out / 'metrics.json'}\npredictions  {out / 'predictions.parquet'}\n"
        f"report       {out / 'report.html'}"
    )


def refuse(names: Sequence[str], given: Mapping[str, Any], *, beside: str) -> None:
    """Raise ArgumentError if an option is given that has no effect beside another."""
    for name in names:
        if given[name] not in (None, "", [], ()):
            option = "--" + name.replace("_", "-")
            raise ArgumentError(f"{option} has no effect beside {beside}; leave one of them out.")


def check_interval(kind: str) -> Any:
    """The kind; raises ArgumentError for another."""
    if kind not in ("bca", "percentile"):
        raise ArgumentError(f"--interval must be bca or percentile, got {kind!r}.")
    return kind

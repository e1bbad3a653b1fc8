"""Several data sets become one: over which findings, under which ids, in whose split."""

from __future__ import annotations

import pytest
from PIL import Image

from radspark.datasets.reading import Source
from radspark.errors import DataError
from radspark.labels import NIH_FINDINGS, LabelSet
from radspark.samples.combine import choose_findings, id_prefixes, project_labels, relabel
from radspark.samples.join import load_samples, match_labels
from radspark.samples.origin import find_origin
from radspark.settings import PreparationSettings, SplitSettings

A, B = LabelSet(("Mass", "Edema", "Hernia")), LabelSet(("Fracture", "Edema", "Mass"))


@pytest.mark.parametrize(
    ("findings", "chosen"),
    [
        ("common", ("Mass", "Edema")),
        ("all", ("Mass", "Edema", "Hernia", "Fracture")),
        (("Edema", "Fracture"), ("Edema", "Fracture")),
    ],
)
def test_findings_are_chosen_in_the_first_ones_order(findings, chosen):
    assert choose_findings([A, B], findings, names=["a", "b"]).names == chosen


def test_nothing_in_common_and_a_strange_name_say_who_has_what():
    with pytest.raises(DataError, match=r"no finding in common \(a: Mass, Edema, Hernia; b: Fever\)"):
        choose_findings([A, LabelSet(("Fever",))], "common", names=["a", "b"])
    with pytest.raises(DataError, match="no data set has the finding 'Fever'"):
        choose_findings([A, B], ["Fever"], names=["a", "b"])


def test_ids_have_a_prefix_where_there_are_several():
    assert id_prefixes([Source("nih", "x")]) == [""]
    assert id_prefixes([Source("nih", "x"), Source("openi", "y"), Source("nih", "z")]) == ["nih-1/", "openi/", "nih-2/"]


@pytest.mark.spark
def test_labels_that_are_not_there_are_unknown(spark):
    frame = spark.createDataFrame([("x", [1.0, 0.0, None])], "image_id string, labels array<float>")
    assert project_labels(frame, A, LabelSet(("Edema", "Fracture", "Mass"))).first()["labels"] == [0.0, None, 1.0]


@pytest.fixture
def two_sources(write_nih_images, tmp_path_factory):
    """NIH's layout, and a hospital's table of two findings with the same ids."""
    nih = write_nih_images([f"images/0000000{i}_000.png" for i in (1, 2, 3, 4)])
    other = tmp_path_factory.mktemp("hospital")
    (other / "images").mkdir()
    Image.new("L", (8, 8), 200).save(other / "images" / "00000001_000.png")
    (other / "labels.csv").write_text("image_id,patient_id,part,fluid,edema\n00000001_000.png,1,test,1,0\n")
    rules = {"split": "part", "findings": {"Effusion": "fluid", "Edema": "edema"}}
    return [Source("nih", nih), Source("table", other, rules)]


@pytest.mark.spark
def test_two_data_sets_are_read_as_one(spark, two_sources):
    samples = load_samples(
        spark, two_sources, preparation=PreparationSettings(size=16), split=SplitSettings(validation_share=0)
    )
    rows = {row["image_id"]: row for row in samples.frame.collect()}
    assert samples.labels.names == ("Effusion", "Edema")
    assert samples.counts.by_split == {"train": 2, "validation": 0, "test": 3}
    ours, theirs = rows["nih/00000001_000"], rows["table/00000001_000"]
    assert (ours["patient_id"], ours["site"], ours["labels"], ours["split"]) == ("nih/1", "nih", [0.0, 1.0], "train")
    assert (theirs["patient_id"], theirs["labels"], theirs["split"]) == ("table/1", [1.0, 0.0], "test")
    assert [row["image"]["data"][0] for row in (ours, theirs)] == [40, 200]
    origin = find_origin(samples.frame)
    assert origin.datasets == {"nih", "table"} and origin.rules["table"]["split"] == "part"


@pytest.mark.spark
def test_labels_become_a_models_and_what_is_missing_is_logged(spark, two_sources, caplog):
    matched = match_labels(spark, two_sources[1])
    relabeled = relabel(matched, NIH_FINDINGS)
    labels = dict(zip(NIH_FINDINGS, relabeled.frame.first()["labels"], strict=True))
    assert (labels.pop("Effusion"), labels.pop("Edema"), set(labels.values())) == (1.0, 0.0, {None})
    assert any("does not say Atelectasis" in message for message in caplog.messages)
    with pytest.raises(DataError, match="has none of the model's findings"):
        relabel(matched, LabelSet(("Fever",)))

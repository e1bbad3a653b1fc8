from __future__ import annotations

import pytest

from radspark.datasets.chexpert_labeler import CHEXPERT_FINDINGS
from radspark.datasets.findings import ALIASES, finding_name
from radspark.datasets.openi import OPENI_FINDINGS
from radspark.datasets.padchest import PADCHEST_FINDINGS
from radspark.datasets.vindr import VINDR_FINDINGS
from radspark.labels import NIH_FINDINGS


@pytest.mark.parametrize(
    ("published", "ours"),
    [
        ("Pleural Effusion", "Effusion"),
        ("pleural effusion", "Effusion"),
        ("Pleural_Effusion", "Effusion"),
        ("Pleural thickening", "Pleural_Thickening"),
        ("Lung Opacity", "Lung_Opacity"),
        ("Nodule/Mass", "Nodule_or_Mass"),
    ],
)
def test_published_names_become_ours(published, ours):
    assert finding_name(published) == ours


@pytest.mark.parametrize("labels", [NIH_FINDINGS, CHEXPERT_FINDINGS, PADCHEST_FINDINGS, VINDR_FINDINGS, OPENI_FINDINGS])
def test_names_of_every_label_set_are_ours_already(labels):
    assert [finding_name(name) for name in labels] == list(labels)


def test_aliases_lead_to_names_that_stay():
    assert all(finding_name(ours) == ours for ours in ALIASES.values())

"""LabelSet: order, encoding, and what is refused."""

import math

import pytest

from radspark.labels import NIH_FINDINGS, LabelSet


def test_findings_are_encoded_in_the_order_of_the_set() -> None:
    values = LabelSet(("a", "b", "c")).encode(["c"], unknown=["b"])
    assert values[0] == 0
    assert math.isnan(values[1])
    assert values[2] == 1


def test_a_finding_that_is_not_in_the_set_is_named() -> None:
    with pytest.raises(ValueError, match="'Efusion' is not a finding of this label set: Atelectasis, "):
        NIH_FINDINGS.encode(["Efusion"])


@pytest.mark.parametrize(("names", "message"), [((), "at least one finding"), (("a", "b", "a"), "repeated: a")])
def test_empty_and_repeated_sets_are_refused(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelSet(names)


def test_nih_has_its_fourteen_findings() -> None:
    assert len(NIH_FINDINGS) == len(set(NIH_FINDINGS)) == 14

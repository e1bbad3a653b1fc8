"""`predictions.parquet`: what is written comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from radspark.cli.scored_table import ScoredTable
from radspark.errors import DataError
from radspark.labels import LabelSet


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_table_comes_back_with_the_same_bits(tmp_path: Path, dtype: type) -> None:
    table = ScoredTable(
        labels=LabelSet(("Mass", "Edema")),
        image_ids=["a", "b"],
        patients=["p", None],
        labels_NC=np.array([[1, np.nan], [0, 1]], np.float32),
        probabilities_NC=np.array([[0.1, 0.2], [1 / 3, 0.4]], dtype),
        scores_NC=np.array([[0.3, 0.1], [0.5, 0.9]], dtype),
        attributes={"age": [50.0, None], "sex": ["F", "M"]},
    )
    table.write(tmp_path / "p.parquet")
    again = ScoredTable.read(tmp_path / "p.parquet")
    assert (again.labels, again.image_ids, again.patients) == (table.labels, ["a", "b"], ["p", None])
    assert again.attributes == table.attributes
    for name in ("labels_NC", "probabilities_NC", "scores_NC"):
        np.testing.assert_array_equal(getattr(again, name), getattr(table, name))
    assert again.probabilities_NC.dtype == dtype


def test_rows_are_put_in_the_order_of_their_ids() -> None:
    table = ScoredTable.sorted(
        labels=LabelSet(("Mass",)),
        image_ids=["c", "a", "b"],
        patients=["pc", "pa", "pb"],
        labels_NC=np.array([[2.0], [0], [1]]),
        probabilities_NC=np.array([[0.2], [0.0], [0.1]]),
        attributes={"sex": ["F", None, "M"]},
    )
    assert (table.image_ids, table.patients, table.attributes["sex"]) == (
        ["a", "b", "c"],
        ["pa", "pb", "pc"],
        [None, "M", "F"],
    )
    assert table.labels_NC[:, 0].tolist() == [0.0, 1.0, 2.0]


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"image_id": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="does not name its findings"):
        ScoredTable.read(tmp_path / "other.parquet")
    (tmp_path / "text.parquet").write_text("image_id")
    with pytest.raises(DataError, match="is not a Parquet file"):
        ScoredTable.read(tmp_path / "text.parquet")

"""Values of co-visitation are those of the matrix product, and the greatest of them are the greatest."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from relbench_harness.features.co_visitation import CoVisitation

MET = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=8)


def product(own: NDArray[np.float64], met: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, items) sums of cosines, by dense matrices."""
    scale = 1 / np.sqrt(np.maximum(met.sum(axis=0), 1))
    return np.asarray((own * scale) @ (met.T @ (met * scale)))


@settings(max_examples=60, deadline=None)
@given(MET, st.integers(0, 7), st.data())
def test_values_and_the_greatest_are_those_of_the_product(rows: list[list[bool]], most: int, data: st.DataObject) -> None:
    met = np.asarray(rows, dtype=float)
    own = met[data.draw(st.lists(st.integers(0, len(met) - 1), min_size=1, max_size=6))]
    wanted = product(own, met)
    found = CoVisitation.of(sparse.csr_matrix(own), sparse.csr_matrix(met))
    entity, item = np.divmod(np.arange(wanted.size), wanted.shape[1])
    np.testing.assert_allclose(found.at(entity, item), wanted.ravel(), atol=1e-12)
    exact = found.at(entity, item).reshape(wanted.shape)
    best = [sorted(np.flatnonzero(row), key=lambda one, row=row: (-row[one], one))[:most] for row in exact]  # type: ignore[misc]
    assert found.greatest(most).tolist() == [row * wanted.shape[1] + one for row, items in enumerate(best) for one in items]


def test_pairs_may_skip_entities_and_repeat() -> None:
    met = sparse.csr_matrix(np.asarray([[1.0, 1, 0], [0, 1, 1], [1, 0, 0]]))
    found, whole = CoVisitation.of(met, met), product(met.toarray(), met.toarray())
    entity, item = np.asarray([0, 0, 2, 2]), np.asarray([2, 2, 1, 0])
    np.testing.assert_allclose(found.at(entity, item), whole[entity, item])
    assert found.at(entity[:0], item[:0]).tolist() == []

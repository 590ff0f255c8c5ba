"""Metrics of faithfulness equal PyG's, and curves and intervals what they are defined to be."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.explain import Explainer, ExplainerAlgorithm, Explanation
from torch_geometric.explain.metric import (
    characterization_score,
    fidelity_curve_auc,
)
from torch_geometric.explain.metric import (
    fidelity as pyg_fidelity,
)
from torch_geometric.explain.metric import (
    unfaithfulness as pyg_unfaithfulness,
)

from relbench_harness.explain.faithfulness import (
    agreement,
    characterisation,
    classes_of,
    curve,
    fidelity,
    fidelity_curve_area,
    found_among,
    mean_over_entities,
    probabilities,
    unfaithfulness,
)


class _Sum(torch.nn.Module):
    """Probabilities of three classes from the states of all nodes; edges play no part."""

    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        return (x @ self.weight).softmax(dim=-1)


class _Given(ExplainerAlgorithm):  # type: ignore[misc]
    """Explains by a mask that is given."""

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__()
        self.mask = mask

    def forward(self, *args: object, **kwargs: object) -> Explanation:
        return Explanation(node_mask=self.mask)

    def supports(self) -> bool:
        return True


@pytest.mark.parametrize("kind", ["model", "phenomenon"])
@pytest.mark.parametrize("seed", range(3))
def test_they_equal_pyg(kind: str, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    x, weight = torch.randn(40, 5, generator=rng), torch.randn(5, 3, generator=rng)
    mask = (torch.rand(40, 5, generator=rng) > 0.5).float()
    model, truth = _Sum(weight), torch.randint(0, 3, (40,), generator=rng)
    explainer = Explainer(
        model,
        _Given(mask),
        explanation_type=kind,
        node_mask_type="attributes",
        model_config={"mode": "multiclass_classification", "task_level": "node", "return_type": "probs"},
    )
    edges = torch.zeros(2, 0, dtype=torch.long)
    explanation = explainer(x, edges, target=truth if kind == "phenomenon" else None)
    answer, only, without = (model(x * part, edges).double().numpy() for part in (torch.ones(40, 5), mask, 1 - mask))
    ours = fidelity(
        classes_of(answer), classes_of(only), classes_of(without), truth.numpy() if kind == "phenomenon" else None
    )
    assert ours == pytest.approx(pyg_fidelity(explainer, explanation), abs=1e-6)
    assert unfaithfulness(answer, only) == pytest.approx(pyg_unfaithfulness(explainer, explanation), abs=1e-5)


def test_characterisation_and_the_area_equal_pyg() -> None:
    plus, minus, at = np.asarray([0.2, 0.6, 0.0, 1.0]), np.asarray([0.9, 0.1, 0.5, 0.0]), np.asarray([0.0, 0.1, 0.5, 1.0])
    theirs = characterization_score(torch.tensor(plus), torch.tensor(minus), 0.25, 0.75)
    np.testing.assert_allclose(characterisation(plus, minus, 0.25), theirs.numpy())
    theirs = fidelity_curve_auc(torch.tensor(plus), torch.tensor(minus), torch.tensor(at))
    assert fidelity_curve_area(plus, minus, at) == pytest.approx(float(theirs))
    with pytest.raises(ValueError, match="ascend"):
        fidelity_curve_area(plus, minus, at[::-1])
    with pytest.raises(ValueError, match="of 1"):
        fidelity_curve_area([0.5], [1.0], [0.0])


def test_a_true_explanation_is_faithful_and_a_false_one_is_not() -> None:
    answer = np.asarray([1, 0, 1, 1])
    assert fidelity(answer, answer, 1 - answer) == (1.0, 0.0)
    assert fidelity(answer, 1 - answer, answer) == (0.0, 1.0)
    same = probabilities(np.asarray([0.2, 0.9]))
    assert unfaithfulness(same, same) == 0 and unfaithfulness(same, same[:, ::-1]) > 0.5
    assert unfaithfulness(np.asarray([[0.5, 0.5]]), np.asarray([[1.0, 0.0]])) == pytest.approx(0.5)


def test_curves_and_intervals() -> None:
    plain = np.asarray([0.5, 1.0])
    found = curve(plain, np.asarray([[0.4, 0.3, 0.0], [1.0, 1.1, 0.5]]), (1, 2, 4))
    assert found.change.tolist() == pytest.approx([0.05, 0.15, 0.5])
    assert found.area == pytest.approx((0.1 + 0.65) / 3)
    values, entity = np.repeat([0.0, 1.0], 50), np.repeat(np.arange(4), 25)
    wide, narrow = mean_over_entities(values, entity), mean_over_entities(values, np.arange(100))
    assert wide.value == narrow.value == 0.5 and wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_precision_and_recall_of_causing_rows() -> None:
    order, causing = [("a", 1), ("a", 2), ("b", 1)], {("a", 1), ("b", 1), ("c", 7), ("c", 8)}
    assert found_among(order, causing, 2) == (0.5, 0.25) and found_among(order, causing, 9) == (2 / 3, 0.5)
    assert np.isnan(found_among([], causing, 3).precision) and np.isnan(found_among(order, set(), 3).recall)


def test_agreement_is_a_rank_correlation() -> None:
    assert agreement([1, -2, 3], [10, 20, 30]) == pytest.approx(1)
    assert agreement([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert np.isnan(agreement([1, 1], [1, 2]))

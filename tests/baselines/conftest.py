"""The shop whose labels follow each customer's habits, made once for all tests of baselines that learn them."""

from __future__ import annotations

import pytest
from shop import Shop, made_shop


@pytest.fixture(scope="session")
def shop() -> Shop:
    return made_shop("habit", seed=3)

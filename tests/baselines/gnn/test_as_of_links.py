"""A network learns through as-of links what no foreign key says."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pyarrow as pa
from made_examples import DAY, every_pair, made_examples, made_task
from relbench_harness.baselines.gnn.method import RelationalGNN
from relbench_harness.baselines.gnn.preprocessor import Preprocessor, Sampling
from shop import made_shop
from sklearn.metrics import roc_auc_score

from relbench_harness.data.database import Database
from relbench_harness.data.table import Table
from relbench_harness.data.task import TaskType
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.temporal.as_of import AsOfKey, as_of_keys
from relbench_harness.temporal.paths import ForeignKey

USERS, STORES, STAFF, VISITS, SHIFTS = 80, 5, 20, 1500, 1000
KEY = AsOfKey(ForeignKey("visits", "store", "stores"), ForeignKey("shifts", "store", "stores"))


def timed(name: str, columns: dict[str, object], references: dict[str, str]) -> Table:
    columns = {**columns, "at": pa.array(columns["at"]).cast(pa.timestamp("ns"))}
    return Table(name, pa.table(columns), time="at", references=MappingProxyType(references))


def test_only_events_of_the_entity_under_other_parents_have_such_keys() -> None:
    assert as_of_keys(world(), "users") == (KEY,)
    assert not as_of_keys(world(), "stores")
    assert not as_of_keys(world(), "visits")
    assert as_of_keys(world(), "visits", own_row=True) == (KEY,)
    assert not as_of_keys(made_shop().database, "customer")


def test_which_links_a_network_has_follows_from_rows_before_the_end_of_training() -> None:
    """Shifts are written down from the end of training on: at it no visit finds one, later nearly all do."""
    end, whole = 100 * DAY, world()
    later = whole["shifts"]
    assert later.times is not None
    late = replace(later, rows=later.rows.slice(int(np.searchsorted(later.times, end))))
    database = Database([*(table for name, table in whole.items() if name != "shifts"), late])
    train, sampling = examples_of_rudeness(database, range(40, 90, 10)), Sampling((4, 2), 1, "recent")
    for end_of_training, found in ((end, ()), (200 * DAY, (KEY,))):
        handed = replace(train, fit_end=end_of_training)
        assert Preprocessor.fit(handed, handed, sampling, ()).preprocessor.as_of == found


def world() -> Database:
    rng = np.random.default_rng(0)
    tables = [
        Table("users", pa.table({"user": np.arange(USERS)}), key="user"),
        Table("stores", pa.table({"store": np.arange(STORES)}), key="store"),
        Table("staff", pa.table({"staff": np.arange(STAFF), "rude": np.arange(STAFF) % 2 == 0}), key="staff"),
    ]
    visits = {
        "at": np.sort(rng.integers(0, 200 * DAY, VISITS)),
        "user": rng.integers(0, USERS, VISITS),
        "store": rng.integers(0, STORES, VISITS),
    }
    shifts = {
        "at": np.sort(rng.integers(0, 200 * DAY, SHIFTS)),
        "store": rng.integers(0, STORES, SHIFTS),
        "staff": rng.integers(0, STAFF, SHIFTS),
    }
    tables.append(timed("visits", visits, {"user": "users", "store": "stores"}))
    tables.append(timed("shifts", shifts, {"store": "stores", "staff": "staff"}))
    return Database(tables)


def examples_of_rudeness(database: Database, days: range) -> Examples:
    """Was someone rude on duty, the last to begin, in the store of the user's latest visit when it took place?"""
    user, time = every_pair(USERS, days)
    visits, shifts = database["visits"], database["shifts"]
    assert visits.times is not None and shifts.times is not None
    labels = np.zeros(len(user))
    for i, (who, when) in enumerate(zip(user, time, strict=True)):
        own = np.flatnonzero((visits.parents("user") == who) & (visits.times < when))
        if len(own):
            same = shifts.parents("store") == visits.parents("store")[own[-1]]
            duty = np.flatnonzero(same & (shifts.times < visits.times[own[-1]]))
            labels[i] = float(len(duty) > 0 and shifts.parents("staff")[duty[-1]] % 2 == 0)
    return made_examples(made_task("users", TaskType.BINARY), database, (user, time), labels)


def test_a_join_on_time_is_learned_and_no_prediction_depends_on_the_other_examples() -> None:
    database = world()
    train, valid, later = (
        examples_of_rudeness(database, d) for d in (range(30, 150, 3), range(155, 171, 5), range(175, 200, 5))
    )
    method = RelationalGNN(channels=24, num_neighbors=(4, 2), epochs=12, steps_per_epoch=30, batch_size=128, lr=0.01)
    budget = Budget(threads=1, device="cpu")
    fitted = method.fit(train, valid, budget)
    predicted = fitted.predict(replace(later, labels=None))
    found = roc_auc_score(later.values, predicted)
    few = np.arange(0, len(later), 7)
    np.testing.assert_allclose(fitted.predict(replace(later.take(few), labels=None)), predicted[few], atol=1e-4)
    without = replace(method, without=["as_of_links"]).fit(train, valid, budget).predict(replace(later, labels=None))
    assert found > max(0.85, roc_auc_score(later.values, without) + 0.2)

"""Past labels are those of windows that have closed: every one equals what the task's SQL says of the whole database."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from relbench_harness.baselines.label_history import LabelHistory

from relbench_harness.data.database import Database
from relbench_harness.data.dataset import Dataset, open_dataset, open_task
from relbench_harness.protocol.method import Budget, Examples
from relbench_harness.protocol.stages import Stages
from relbench_harness.temporal.closed_labels import ClosedLabels, closed_labels
from relbench_harness.temporal.window_ends import ENOUGH, rows_expected_at_ends

WON = """SELECT s.timestamp AS date, p.player, CAST(COALESCE(SUM(e.points), 0) AS DOUBLE) AS points
FROM timestamps s CROSS JOIN players p
LEFT JOIN {events} e ON e.player = p.player AND e.date > s.timestamp AND e.date <= s.timestamp + INTERVAL '{{timedelta}}'
WHERE EXISTS (SELECT 1 FROM seasons l WHERE l.player = p.player AND l.date <= s.timestamp)
GROUP BY ALL"""


def league(folder: Path, events: dict[str, list[pd.Timestamp]], cuts: tuple[str, str], days: int = 365) -> Dataset:
    """Two players with a row in each table of `events` at each of its times; points count up, by 1 and by 100."""
    (folder / "db").mkdir(parents=True)
    pd.DataFrame({"player": [0, 1]}).to_parquet(folder / "db" / "players.parquet")
    tables = {"players": {"pkey": "player", "time_col": None, "fkeys": {}}}
    for name, times in events.items():
        frame = pd.DataFrame({"date": np.repeat(pd.DatetimeIndex(times).astype("datetime64[ns]"), 2)})
        frame["player"] = np.tile([0, 1], len(times))
        frame["points"] = np.repeat(np.arange(1.0, len(times) + 1), 2) * np.tile([1, 100], len(times))
        frame.to_parquet(folder / "db" / f"{name}.parquet")
        tables[name] = {"pkey": None, "time_col": "date", "fkeys": {"player": "players"}}
        task = {"name": name, "kind": "forecast", "task_type": "regression", "entity_table": "players",
                "entity_col": "player", "target_col": "points", "time_col": "date", "timedelta": f"{days} days",
                "sql": WON.format(events=name)}  # fmt: skip
        (folder / "tasks" / name).mkdir(parents=True)
        (folder / "tasks" / name / "manifest.yaml").write_text(yaml.safe_dump(task))
    manifest = {"name": folder.name, "val_timestamp": cuts[0], "test_timestamp": cuts[1], "tables": tables}
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    return open_dataset(str(folder))


def yearly(month: int, day: int, hour: int = 0) -> list[pd.Timestamp]:
    return [pd.Timestamp(year, month, day, hour) for year in range(1998, 2024)]


def of_first_player(past: ClosedLabels, examples: Examples) -> dict[pd.Timestamp, float]:
    """Start of each window known to the first example about player 0, with its label."""
    span = past.known(examples)
    row = int(np.flatnonzero(examples.entity == 0)[0])
    known = range(int(span.first[row]), int(span.last[row]))
    step = examples.task.horizon.value
    # a window that has closed is known an instant after its end, or at it where no row is to be expected there
    return {pd.Timestamp(past.known_from[i] - step).floor("us"): float(np.asarray(past.value)[i]) for i in known}


def test_seasons_dated_like_the_cut_off_are_not_counted_without_the_last(tmp_path: Path) -> None:
    dates = yearly(11, 15)
    league(tmp_path / "league", {"seasons": dates}, ("2021-11-15", "2022-11-15"))
    stages = Stages(*open_task(f"{tmp_path / 'league'}/seasons"), "rolling")
    questions = stages.holdout("val").examples
    known = of_first_player(closed_labels(questions), questions)
    for start, label in known.items():
        inside = [i + 1 for i, date in enumerate(dates) if start < date <= start + pd.Timedelta(days=365)]
        assert label == float(sum(inside)), start
    assert max(known) + pd.Timedelta(days=365) < pd.Timestamp("2021-11-15")
    assert known[pd.Timestamp("2019-11-16")] == 23.0  # the season dated 2020-11-15, a year before the cut-off


def test_games_of_july_are_known_in_november(tmp_path: Path) -> None:
    events = {"seasons": yearly(11, 15), "games": yearly(7, 10)}
    league(tmp_path / "league", events, ("2021-11-15", "2022-11-15"))
    questions = Stages(*open_task(f"{tmp_path / 'league'}/games"), "rolling").holdout("val").examples
    known = of_first_player(closed_labels(questions), questions)
    # the SQL reads both tables; that seasons lie at the cut-off does not matter, for they are not counted
    assert max(known) == pd.Timestamp("2020-11-15") and known[max(known)] == 24.0


def test_a_window_that_ends_at_the_cut_off_has_closed_where_times_are_continuous(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    times = sorted(pd.Timestamp("2019-01-01") + pd.Timedelta(seconds=int(s)) for s in rng.integers(0, 900 * 86_400, 400))
    league(tmp_path / "shop", {"seasons": times}, ("2021-02-01", "2021-04-01"), days=30)
    questions = Stages(*open_task(f"{tmp_path / 'shop'}/seasons"), "rolling").holdout("val").examples
    known = of_first_player(closed_labels(questions), questions)
    assert max(known) == pd.Timestamp("2021-01-02")
    inside = [i + 1 for i, t in enumerate(times) if max(known) < t < pd.Timestamp("2021-02-01")]
    assert known[max(known)] == float(sum(inside))


@pytest.mark.parametrize("hour", [0, 12])
def test_dates_within_a_few_windows_are_no_evidence(tmp_path: Path, hour: int) -> None:
    # daily rows; at noon none lies at a cut-off, which is midnight
    dates = list(pd.date_range("2021-01-01", "2021-06-30", freq="D") + pd.Timedelta(hours=hour))
    league(tmp_path / "daily", {"seasons": dates}, ("2021-04-01", "2021-05-01"), days=10)
    questions = Stages(*open_task(f"{tmp_path / 'daily'}/seasons"), "rolling").holdout("val").examples
    known = of_first_player(closed_labels(questions), questions)
    assert max(known) == pd.Timestamp("2021-03-12" if hour == 0 else "2021-03-22")
    for start, label in known.items():
        inside = [i + 1 for i, date in enumerate(dates) if start < date <= start + pd.Timedelta(days=10)]
        assert label == float(sum(inside)), start


def all_known_labels(
    folder: Path, times: list[pd.Timestamp], cuts: tuple[str, str], days: int
) -> dict[pd.Timestamp, float]:
    """What every training example knows of its own entity, checked against the rows; of the first player."""
    league(folder, {"seasons": times}, cuts, days)
    examples = Stages(*open_task(f"{folder}/seasons"), "rolling").examples("train")
    past = closed_labels(examples)
    first, last = past.known(examples)
    used = np.unique(np.concatenate([np.arange(a, b) for a, b in zip(first, last, strict=True)]))
    step, found = examples.task.horizon.value, {}
    for row in used[past.entity[used] == 0]:
        start = pd.Timestamp(past.known_from[row] - step).floor("us")
        found[start] = float(np.asarray(past.value)[row])
        inside = [i + 1 for i, t in enumerate(times) if start < t <= start + pd.Timedelta(days=days)]
        assert found[start] == float(sum(inside)), start
    return found


def test_whether_rows_are_expected_rests_on_older_rows(tmp_path: Path) -> None:
    # from June 2020 on rows count that lie at the ends of windows of a day; nothing before tells so
    rng = np.random.default_rng(0)
    nothing = list(pd.date_range("2018-01-01", "2020-12-31", freq="D"))
    league(tmp_path / "daily", {"seasons": nothing}, ("2021-09-01", "2021-10-01"), days=1)
    dataset, task = open_task(f"{tmp_path / 'daily'}/seasons")
    table = dataset.database["seasons"]
    counted = replace(task, sql=(task.sql or "").replace("SUM(e.points)", "SUM(e.points) FILTER (e.points > 1e9)"))
    starts = np.arange(700, 1000) * task.horizon.value + pd.Timestamp("2018-01-01").value

    def expected(points: np.ndarray) -> np.ndarray:
        column = pa.array(points)
        rows = table.rows.set_column(table.rows.column_names.index("points"), "points", column)
        database = Database([replace(t, rows=rows) if t.name == "seasons" else t for t in dataset.database.values()])
        return rows_expected_at_ends(counted, database, starts[starts < table.times[-1]])

    plain = table.rows["points"].to_numpy().copy()
    changed = plain.copy()
    late = table.times >= pd.Timestamp("2020-06-01").value
    changed[late] += 1e10 * rng.integers(0, 2, int(late.sum()))
    before = starts[starts < table.times[-1]] + task.horizon.value < pd.Timestamp("2020-06-01").value
    one, other = expected(plain), expected(changed)
    assert not one[before][ENOUGH:].any()
    np.testing.assert_array_equal(one[before], other[before])
    assert other[-1]


def test_dates_among_continuous_times_are_expected_at_midnight(tmp_path: Path) -> None:
    # seconds, but one in twenty is a date: the window that ends at a midnight has rows there again and again
    rng = np.random.default_rng(3)
    times = [pd.Timestamp("2019-01-01") + pd.Timedelta(seconds=int(s)) for s in rng.integers(0, 900 * 86_400, 6000)]
    times = sorted(t.floor("D") if i % 20 == 0 else t for i, t in enumerate(times))
    assert len(all_known_labels(tmp_path / "mixed", times, ("2021-02-01", "2021-04-01"), 10)) > 50


def test_windows_without_rows_at_their_ends_say_nothing_of_a_first_of_the_month(tmp_path: Path) -> None:
    # rows on the first of each month, asked about every ten days: most ends are on other days
    times = list(pd.date_range("2018-01-01", "2021-12-01", freq="MS"))
    assert len(all_known_labels(tmp_path / "monthly", times, ("2021-02-03", "2021-06-03"), 10)) > 50
    # weekly rows on Mondays, asked about every thirty days
    weekly = list(pd.date_range("2018-01-01", "2021-12-27", freq="7D"))
    assert len(all_known_labels(tmp_path / "weekly", weekly, ("2021-02-03", "2021-06-03"), 30)) > 20


def test_labels_of_training_on_a_grid_of_its_own_are_used_and_carried_forward(tmp_path: Path) -> None:
    dates = list(pd.date_range("2018-01-10", "2021-12-31", freq="10D"))
    dataset = league(tmp_path / "monthly", {"seasons": dates}, ("2021-02-01", "2021-04-01"), days=30)
    # training asked on the first of each month, and said something else than the SQL, so that one sees who is read
    months = pd.date_range("2019-01-01", "2020-12-01", freq="MS").astype("datetime64[ns]")
    hosted = pd.DataFrame({"date": np.repeat(months, 2), "player": np.tile([0, 1], len(months))})
    hosted["points"] = -np.arange(1.0, len(hosted) + 1)
    hosted.to_parquet(dataset.folder / "tasks" / "seasons" / "train.parquet")
    questions = Stages(*open_task(f"{tmp_path / 'monthly'}/seasons"), "rolling").holdout("test").examples
    known = of_first_player(closed_labels(questions), questions)
    held = {start: label for start, label in known.items() if start <= months[-1]}
    assert held == {month: -(2.0 * i + 1) for i, month in enumerate(months)}
    # one, two and three horizons after the last training time; their windows end before 1 April
    later = [start for start in known if start > months[-1]]
    assert later == [pd.Timestamp("2020-12-31"), pd.Timestamp("2021-01-30"), pd.Timestamp("2021-03-01")]
    for start in later:
        inside = [i + 1 for i, date in enumerate(dates) if start < date <= start + pd.Timedelta(days=30)]
        assert known[start] == float(sum(inside))


@pytest.mark.parametrize(
    ("task", "metric", "least"),
    [("player-hits", "nmae", -0.754), ("player-franchise", "map", 0.323), ("player-allstar", "roc_auc", 0.730)],
)
def test_label_history_on_seasons_dated_like_their_cut_offs(real_data: Path, task: str, metric: str, least: float) -> None:
    if not (real_data / "baseball" / "manifest.yaml").is_file():
        pytest.skip("no baseball beside rel-f1")
    stages = Stages(*open_task(f"baseball/{task}"), "frozen")
    fitted = LabelHistory().fit(stages.examples("train"), stages.examples("val"), Budget(threads=1))
    holdout = stages.holdout("test")
    score = holdout.score(fitted.predict(holdout.examples))[metric]
    assert round(-score if metric == "nmae" else score, 3) >= least

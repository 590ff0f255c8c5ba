"""What a report says: figures that are those of the results, reasons of failures, hostile text as text, nothing fetched."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import pytest
from little_shop import BASKET, EVIL, QUICK, SPEND

from relbench_harness.authoring.findings import Finding
from relbench_harness.board.paired import Difference
from relbench_harness.board.store import read_results
from relbench_harness.trial.carried import Carried, Request, carry_out
from relbench_harness.trial.facts import Trial
from relbench_harness.trial.looked_at import looked_at
from relbench_harness.trial.plan import turns_of
from relbench_harness.trial.report import markdown, page, report_of
from relbench_harness.trial.source import Found
from relbench_harness.trial.verdict import difference_in_words, verdict


@pytest.fixture(autouse=True)
def findable(tried: Carried, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dataset of the trial is on the search path."""
    monkeypatch.setenv("RELBENCH_HARNESS_DATASETS", str(tried.trial.folder.parent / "datasets"))


def parts_of(trial: Trial) -> dict[str, str]:
    """Key of a part → its Markdown."""
    report = report_of(trial)
    return {part.key: "\n".join(markdown(replace(report, parts=(part,)))) for part in report.parts}


@pytest.fixture(scope="module")
def parts(tried: Carried) -> dict[str, str]:
    return parts_of(tried.trial)


def test_scores_of_the_report_are_those_of_the_results(tried: Carried, parts: dict[str, str]) -> None:
    results = {one.method: one for one in read_results(tried.trial.results_folder)}
    assert set(results) == set(QUICK)
    for name, result in results.items():
        assert re.search(rf"\| {name} \| \*?\*?{result.score:.4f}", parts["leaderboard"])
        assert f"{result.scores['test']['lift_10']:.2f} |" in parts["choosing"]


def test_a_method_that_cannot_begin_is_a_row_with_its_reason(parts: dict[str, str]) -> None:
    row = next(line for line in parts["leaderboard"].splitlines() if line.startswith("| – | sql_xgboost"))
    assert ".sql" in row and "no time" not in row


def test_it_says_what_the_data_are_and_what_can_be_done(tried: Carried, parts: dict[str, str]) -> None:
    assert "| orders | 1,500 |" in parts["data"] and "| test |" in parts["data"]
    task = tried.trial.chosen.address
    best = tried.trial.proposed
    assert f"relbench-harness run task={task} regime=rolling method={best} " in parts["next"]
    for command in (
        "save=models/",
        "relbench-harness predict models/",
        "relbench-harness rank ",
        "relbench-harness publish ",
    ):
        assert command in parts["next"]
    assert "| constant |" in parts["costs"]
    assert "The 5 highest predictions" in parts["choosing"]


def test_the_page_holds_everything_and_fetches_nothing(tried: Carried) -> None:
    text = tried.path.read_text(encoding="utf-8")
    assert text == page(report_of(tried.trial))
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:,)""", text)
    assert not re.findall(r"@import|url\(", text)
    assert "<svg" in text and "<style>" in text


def test_hostile_text_is_text(tried: Carried) -> None:
    trial = tried.trial
    bad = tuple(replace(one, why=EVIL, doubts=(EVIL,)) if one.method == "sql_xgboost" else one for one in trial.attempts)
    checked = replace(trial.checked, findings=[Finding("giveaway", trial.task.name, EVIL)], name=EVIL)
    hostile = replace(trial, attempts=bad, checked=checked, found=Found("shop", "imported", EVIL, (EVIL,)))
    hostile = replace(hostile, chosen=replace(trial.chosen, query=EVIL))
    report = report_of(hostile)
    text = page(report)
    assert "<img" not in text and text.count(html.escape(EVIL.replace("`", ""), quote=True).split("{{")[0][:12]) > 3
    assert "{{ 7*7 }}" in html.unescape(text) and ">49<" not in text
    for line in markdown(report):
        if not line.startswith("    "):
            assert "<img" not in line.replace("\\<", ""), line


def spoiled(trial: Trial, method: str, **changes: object) -> Trial:
    """The trial in which the run of `method` came to something else."""
    attempts = tuple(replace(one, **changes) if one.method == method else one for one in trial.attempts)  # type: ignore[arg-type]
    return replace(trial, attempts=attempts)


def test_where_the_reference_failed_the_rest_is_compared_all_the_same(tried: Carried) -> None:
    trial = spoiled(tried.trial, "lightgbm_simple", result=None, why="it fell over")
    assert trial.reference == trial.rule
    said = verdict(trial)
    assert any(one == "`lightgbm_simple` has no score: it fell over." for one in said.said)
    assert "it fell over" in parts_of(trial)["leaderboard"]


def test_a_reference_that_had_no_time_for_all_its_features_is_no_match(tried: Carried) -> None:
    result = next(one.result for one in tried.trial.attempts if one.method == "lightgbm_simple")
    assert result is not None
    cut = {"left_out": ["PastLabels"], "members": {"trees": {"left_out": ["Windows"]}}}
    trial = spoiled(tried.trial, "lightgbm_simple", result=replace(result, notes=cut))
    said = [one for one in verdict(trial).said if "for lack of time" in one]
    assert said == [
        "`lightgbm_simple` left out `PastLabels`, `Windows of trees` for lack of time, so that the others look better beside it "
        "than they are."
    ]


def test_where_all_failed_there_is_a_report(tried: Carried) -> None:
    attempts = tuple(replace(one, result=None, why="no") for one in tried.trial.attempts)
    trial = replace(tried.trial, attempts=attempts)
    assert verdict(trial).headline == "No method came to an end, so nothing can be compared."
    assert "data" in parts_of(trial)


def difference(low: float, value: float, high: float) -> Difference:
    p = 0.5 if low < 0 < high else 0.001
    return Difference(0.7 + value, 0.7, value, low, high, p, p, 1000, 0, 100, 100)


@pytest.mark.parametrize(
    ("ends", "higher", "said"),
    [
        ((-0.01, 0.02, 0.05), True, "which includes zero"),
        ((0.01, 0.02, 0.05), True, "better by 0.020"),
        ((0.01, 0.02, 0.05), False, "worse by 0.020"),
        ((-0.05, -0.02, -0.01), False, "better by 0.020"),
    ],
)
def test_a_difference_is_called_by_its_interval(ends: tuple[float, float, float], higher: bool, said: str) -> None:
    assert said in difference_in_words(difference(*ends), higher, "roc_auc")


class Compared(Trial):
    """A trial whose comparisons are given."""

    given: dict[tuple[str, str], Difference]

    def compared_with(self, other: str) -> dict[str, Difference]:
        return {first: found for (first, second), found in self.given.items() if second == other}


SHOWN, NOT, WORSE = difference(0.01, 0.02, 0.05), difference(-0.01, 0.01, 0.05), difference(-0.05, -0.02, -0.01)


@pytest.mark.parametrize(
    ("to_rule", "simple_to_rule", "to_reference", "headline"),
    [
        (NOT, NOT, NOT, "othing "),
        (SHOWN, SHOWN, SHOWN, "Yes: `gnn` beats the plain features"),
        (SHOWN, SHOWN, NOT, "nothing is shown to beat the plain features"),
        (NOT, SHOWN, WORSE, "No: the plain features of `lightgbm_simple` do better"),
    ],
)
def test_the_headline_follows_from_intervals(
    tried: Carried, to_rule: Difference, simple_to_rule: Difference, to_reference: Difference, headline: str
) -> None:
    other = next(one for one in tried.trial.attempts if one.method == "lightgbm_simple")
    assert other.result is not None
    attempts = [
        *(a for a in tried.trial.attempts if a.method in QUICK),
        replace(other, method="gnn", result=replace(other.result, method="gnn")),
    ]
    one = tried.trial
    trial = Compared(one.found, one.chosen, one.checked, attempts, one.folder, one.minutes)
    assert trial.rule is not None
    object.__setattr__(
        trial,
        "given",
        {
            ("gnn", trial.rule): to_rule,
            ("lightgbm_simple", trial.rule): simple_to_rule,
            ("gnn", "lightgbm_simple"): to_reference,
        },
    )
    assert headline in verdict(trial).headline


@pytest.fixture(scope="module")
def others(sqlite_uri: str, tried: Carried, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reports of a regression and of a recommendation, all parts in one text."""
    home = tmp_path_factory.mktemp("others")
    imports = tried.trial.folder.parent / "datasets"
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELBENCH_HARNESS_DATASETS", str(imports))
        for name, query in (("spend", SPEND), ("basket", BASKET)):
            methods = ("constant", "label_history")
            request = Request(sqlite_uri, query, imports, 10.0, to=home / name, turns=turns_of(methods), isolation="none")
            found[name] = "\n".join(markdown(carry_out(request, lambda line: None).report))
    return found


def test_a_regression_is_read_by_deciles(others: dict[str, str]) -> None:
    assert "Deciles of " in others["spend"] and "| 10 |" in others["spend"] and "Whom to choose" not in others["spend"]


def test_recommendations_are_read_by_hits(others: dict[str, str]) -> None:
    assert "| Method | Hit rate at 1 | Hit rate at 3 |" in others["basket"]


def test_it_says_what_the_proposed_method_looks_at(tried: Carried) -> None:
    learned = tuple(one for one in tried.trial.attempts if one.method == "lightgbm_simple")
    trial = replace(tried.trial, attempts=learned)
    found = looked_at(trial)
    assert trial.proposed == "lightgbm_simple" and found is not None and not isinstance(found, str)
    part = parts_of(replace(trial, looked_at=found))["looking"]
    assert "What lightgbm_simple looks at" in part.replace("\\", "") and found.of("table")[0].part.label in part
    assert "looking" not in parts_of(replace(trial, looked_at=None))
    assert "no such thing" in parts_of(replace(trial, looked_at="no such thing"))["looking"]
    assert looked_at(replace(trial, attempts=(replace(learned[0], keeping=None),))) is None
    assert learned[0].result is not None
    gave_way = replace(learned[0], result=replace(learned[0].result, notes={"fallback": "label_history"}))
    said = looked_at(replace(trial, attempts=(gave_way,)))
    assert said == "lightgbm_simple gave way to the rule label_history on validation, so there is no model to look at"

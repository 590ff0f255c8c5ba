"""The page of an explanation: amounts as found, sentences with the source's own words, and in Chromium without an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from chromium import CONTRAST, shown
from little_shop import EVIL
from numpy.typing import NDArray

import relbench_harness
from relbench_harness.authoring.findings import Finding
from relbench_harness.board.importance import read_importances, write_importance
from relbench_harness.cli import main
from relbench_harness.data.query import run_sql
from relbench_harness.errors import InputError
from relbench_harness.explain.cohorts import cohort
from relbench_harness.explain.contrast import Contrast, RowsGone, ValuesReplaced
from relbench_harness.explain.distilled import Fidelity
from relbench_harness.explain.explanation import Amount, Explanation, Part, age_bands
from relbench_harness.explaining.about_cohorts import about_cohorts
from relbench_harness.explaining.about_sql import about_sql
from relbench_harness.explaining.contrast_sentences import contrast_sentences
from relbench_harness.explaining.doubts import at_the_edge, dominating, findings, gone
from relbench_harness.explaining.fitted import Fitted
from relbench_harness.explaining.material import Material
from relbench_harness.explaining.notebook import Explained
from relbench_harness.explaining.page import page, parts_of, write_page
from relbench_harness.explaining.sentences import groups, sentences
from relbench_harness.explaining.stored import importance_of
from relbench_harness.protocol.method import Examples

from .conftest import SETTINGS


@pytest.fixture(scope="module")
def written(material: Material, tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_page(material, tmp_path_factory.mktemp("page") / "page.html").as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium.started(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def test_it_opens_without_error_and_fits_a_phone(browser: Any, written: str) -> None:
    for scheme in ("light", "dark"):
        opened = shown(browser, written, width=390, scheme=scheme)
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
        assert opened.execute_script(CONTRAST) == []
    assert opened.get_log("browser") == []
    assert opened.execute_script("return performance.getEntriesByType('resource').length") == 0
    try:
        bare = shown(browser, written, scripts=False)
        assert len(bare.find_elements("css selector", "tbody tr")) > 20
        assert len(bare.find_elements("css selector", "figure svg")) > 5
    finally:
        shown(browser, written)


def test_every_kind_and_every_prediction_has_a_part(material: Material) -> None:
    keys = [part.key for part in parts_of(material)]
    assert len(set(keys)) == len(keys)
    assert {"model-column", "model-table", "model-path", "model-age", "example-1", "example-2", "example-3"} <= set(keys)
    assert list(material.model) == ["ablation", "contributions"]
    high, middle, low = (one.found.prediction for one in material.ones)
    assert high > middle > low


def test_strings_of_the_source_are_text(material: Material) -> None:
    one = material.ones[1]
    evil = page(
        replace(material, method=EVIL, task=f"{EVIL}</title>", ones=[replace(one, name=EVIL, why=EVIL)], doubts=(EVIL,))
    )
    assert "<img" not in evil and evil.count("&lt;img") > 5 and evil.count("</title>") == 1


def test_sentences_add_up_to_what_the_rows_moved(material: Material) -> None:
    for one in material.ones:
        moved = sum(group.total for group in groups(one.found))
        assert moved == pytest.approx(sum(amount.value for amount in one.found.of("row")), abs=1e-6)
        for sentence, group in zip(sentences(material, one.found, 99), groups(one.found), strict=True):
            assert f"`{group.first.table}`" in sentence
            assert (" raise" in sentence) == (group.total > 0)
            key = material.keys(group.first.table or "").column(0)[group.first.row or 0].as_py()
            assert str(key) in sentence


def test_an_example_is_named_by_the_key_of_the_source(fitted_shop: Fitted) -> None:
    examples = fitted_shop.named(["17@2024-08-02", "3"])
    keys = fitted_shop.keys("customers").column("customer").to_pylist()
    assert [keys[row] for row in examples.entity] == [17, 3]
    assert str(examples.time[:1].astype("datetime64[ns]")[0])[:10] == "2024-08-02"
    with pytest.raises(InputError, match="--example 4711@2024-08-02 names no row of table 'customers'; its first key is"):
        fitted_shop.named(["4711@2024-08-02"])
    with pytest.raises(InputError, match="'soon' is neither a time"):
        fitted_shop.named(["17@soon"])


def test_warnings_name_what_they_rest_on(material: Material) -> None:
    column, other = Part("column", table="orders", column="amount"), Part("column", table="customers", column="city")
    first, last = (Part("age", age=band) for band in age_bands((1.0,)))

    def found(*amounts: tuple[Part, float, float, float]) -> Explanation:
        return Explanation("model", "ablation", "roc_auc", tuple(Amount(p, v, a, b, abs(v)) for p, v, a, b in amounts))

    later = found((column, 0.001, -0.01, 0.01), (other, 0.0005, -0.01, 0.01), (first, 0.3, 0, 1), (last, 0.1, 0, 1))
    before = found((column, 0.2, 0.1, 0.3), (other, 0.001, -0.01, 0.02))
    assert "`orders.amount` has 67% of the importance" in next(dominating(later))
    assert "rows of 0 to 1 days before the cut-off have 75%" in next(at_the_edge(later))
    assert ["orders.amount" in one for one in gone(before, later)] == [True]
    assert list(gone(before, before)) == [] and list(dominating(found((column, 1, 0, 1), (other, 1, 0, 1)))) == []
    said = [Finding("future-column", "orders.amount", "it knows"), Finding("key", "products", "lacks a key")]
    assert list(findings(said, later)) == ["`dataset check` says of `orders.amount`: it knows."]


def test_predictions_over_the_values_of_a_column(fitted_shop: Fitted) -> None:
    examples = fitted_shop.valid

    class OfAmounts:
        def predict(self, given: Examples) -> NDArray[np.float64]:
            return np.full(len(given), given.database["orders"].rows.column("amount").to_numpy().mean())

    found = cohort(OfAmounts(), examples, "orders", "amount")
    assert found is not None and found.is_numeric and len(found.points) == 7
    assert [point.mean for point in found.points] == pytest.approx([point.value for point in found.points])
    words = cohort(OfAmounts(), examples, "customers", "city")
    assert words is not None and {point.value for point in words.points} == {"Graz", EVIL}
    assert all(point.mean == pytest.approx(words.plain) for point in words.points)
    assert cohort(OfAmounts(), examples, "orders", "nothing") is None
    assert (found.away, words.away) == (1, 0)


def test_columns_are_shown_at_each_distance_from_the_entity(material: Material) -> None:
    away = [one.away for one in material.cohorts]
    assert away == sorted(away) and all(away.count(one) <= 2 for one in away)
    assert sum(material.by_distance.values()) == pytest.approx(1) and set(material.by_distance) == {0, 1, 2}
    (part,) = about_cohorts(material.cohorts, material.by_distance)
    assert f"{material.by_distance[1]:.0%} 1 key away" in part.said[1] and part.tables[0].columns[1].heading == "Keys away"


def test_the_answers_as_sql_stand_on_the_page(material: Material, fitted_shop: Fitted) -> None:
    found = material.distilled
    assert found is not None and 0 < len(found.columns) <= 8
    tables = {name: table.rows for name, table in fitted_shop.valid.database.items()}
    rows = run_sql(found.runnable, tables, "the view")
    assert rows.column_names == ["seed", *(one.name for one in found.columns)] and len(rows) == 80
    (part,) = about_sql(material)
    assert [step.command for step in part.steps] == [found.runnable, *(one.sql for one in found.columns)]
    assert "80 entities" not in part.said[0] and "R² is" in part.said[0]
    assert page(material).count("FROM seeds AS s") >= 2 * len(found.columns)


@pytest.mark.parametrize(
    ("r2", "words"), [(0.9, "reproduce most of"), (0.6, "a part of"), (0.2, "are not to be taken for it")]
)
def test_how_faithful_a_query_is_is_said_plainly(material: Material, r2: float, words: str) -> None:
    assert material.distilled is not None
    fidelity = Fidelity(r2, r2 - 0.3, r2 + 0.05, 0.5, 40, 9)
    said = about_sql(replace(material, distilled=replace(material.distilled, fidelity=fidelity)))[0].said
    assert (
        words in said[0] and f"R² is {r2:.2f}" in said[0] and "9 entities" in said[0] and "the figure is loose" in said[1]
    )
    assert "No few columns reproduce" in about_sql(replace(material, distilled=None))[0].said[0]
    assert about_sql(replace(material, distilled=None, is_distilled=False)) == []


def test_what_would_have_to_be_otherwise_is_a_sentence(material: Material) -> None:
    for one in material.ones:
        assert one.contrast is not None
        said = list(contrast_sentences(material, one.contrast))
        assert said and all("the prediction would be" in text or text.startswith("Neither") for text in said)
    contrast = material.ones[0].contrast
    orders = material.keys("orders").column(0).to_pylist()
    parts = tuple(Part("row", table="orders", row=row) for row in (3, 5))
    values = ValuesReplaced(
        (("customers", "city", ""), ("orders", "amount", "p")), (1, 4), 2, 0, (EVIL, None), ("Graz", None), 0.1
    )
    said = list(contrast_sentences(material, Contrast(0, 0.9, 0.5, np.nan, RowsGone(parts, 0.25), values)))
    assert contrast is not None and said[0] == (
        f"Without the row `order {orders[3]}` of `orders` and the row `order {orders[5]}` of `orders` the prediction would be 0.250, "
        "below 0.500, the median of validation."
    )
    assert "`customers.city` `Graz` in the place of `" in said[1] and "other values of `orders.amount` in 4 rows" in said[1]
    assert next(iter(contrast_sentences(material, Contrast(0, 0.9, np.nan, 0.2, None, None)))).endswith(
        "move the prediction by 0.200."
    )


def test_importance_is_kept_beside_results(material: Material, tmp_path: Path) -> None:
    path = write_importance(importance_of(material, "rolling"), tmp_path)
    (kept,) = read_importances(tmp_path, pytest.fail)
    assert (
        path.stat().st_size < 8000 and kept.method == "lightgbm_simple" and set(kept.parts) == {"ablation", "contributions"}
    )
    first = kept.parts["ablation"][0]
    assert first.kind == "table" and sum(
        one.share for one in kept.parts["ablation"] if one.kind == "table"
    ) == pytest.approx(1)
    assert {one.kind for one in kept.agreements} <= {"table", "column"} and kept.as_sql is not None


def test_a_notebook_shows_it(material: Material) -> None:
    shown = Explained(material)
    text = shown._repr_html_()
    assert "<img" not in text and text.count("<svg") > 5 and "<script" not in text
    assert "<pre>WITH seeds AS (" in text and shown.sql.startswith("WITH seeds AS (")
    with pytest.raises(InputError, match="the level 'sql' was left out"):
        _ = Explained(replace(material, distilled=None, is_distilled=False)).sql
    assert set(shown.table("table")["way"]) == {"ablation", "contributions"} and len(shown.rows) == 3
    with pytest.raises(InputError, match="no kind of parts 'colum'; did you mean 'column'"):
        shown.table("colum")


@pytest.mark.thorough
def test_a_finished_run_and_a_folder_are_explained(
    shop_task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished = relbench_harness.run(shop_task, "constant", regime="rolling")
    found = finished.explain(["17@2024-08-02"], level="rows")
    assert found.material.ones[0].name == "customer 17 at 2024-08-02" and not found.model
    folder = finished.save(tmp_path / "model")
    given = ["explain", "--model", str(folder), "--level", "rows", "--examples", "1", "--out", str(tmp_path / "page.html")]
    assert main(given) == 0 and "explained constant on" in capsys.readouterr().out


def test_the_command_writes_a_page(shop_task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    given = ["explain", f"task={shop_task}", *SETTINGS, "--level", "rows", "--example", "17@2024-08-02", "--out", str(out)]
    assert main(given) == 0 and "customer 17 at 2024-08-02" in out.read_text()
    assert f"wrote {out}" in capsys.readouterr().out
    given = ["explain", f"task={shop_task}", *SETTINGS, "--level", "sql", "--out", str(out)]
    assert main(given) == 0 and "FROM seeds AS s" in out.read_text() and "By ablation" not in out.read_text()
    assert main([*given[:-2], "--store", str(tmp_path)]) == 2
    assert "--store keeps importance, which --level sql leaves out" in capsys.readouterr().err
    assert main(given[:-2]) == 2 and "--store RESULTS; name one" in capsys.readouterr().err
    assert main(["explain", "--out", str(out)]) == 2
    assert "either task=DATASET/TASK and method=NAME, or --model FOLDER" in capsys.readouterr().err

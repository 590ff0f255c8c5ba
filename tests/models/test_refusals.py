"""A kept model that is damaged, hostile, or meets another schema is refused in one sentence that names the thing at fault."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from shop_folder import shop_tables, write_shop
from small_methods import small

from relbench_harness.cli import main
from relbench_harness.data.dataset import Dataset
from relbench_harness.errors import InputError
from relbench_harness.models.class_names import class_named
from relbench_harness.models.codec import Reader, Writer
from relbench_harness.models.codecs import CODECS
from relbench_harness.models.model import load_model
from relbench_harness.protocol.configuration import described_method
from relbench_harness.request import RunRequest


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return write_shop(tmp_path_factory.mktemp("refused") / "shop")


@pytest.fixture(scope="module")
def original(shop: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, method = tmp_path_factory.mktemp("original") / "model", small("label_history")
    request = RunRequest(f"{shop.folder}/churn", method, "tested", described_method(method), regime="rolling", save=folder)
    assert request.execute().result.ok
    return folder


@pytest.fixture
def model(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(original, tmp_path / "model"))


def edit(model: Path, file: str, change: Callable[[Any], Any]) -> None:
    """Changes a JSON file of the model and puts its checksum right, as somebody who means harm does."""
    path, manifest = model / file, json.loads((model / "manifest.json").read_text())
    path.write_text(json.dumps(change(json.loads(path.read_text()))))
    if file != "manifest.json":
        manifest["files"][file] = hashlib.sha256(path.read_bytes()).hexdigest()
        (model / "manifest.json").write_text(json.dumps(manifest))


def test_every_file_is_checked(model: Path, original: Path) -> None:
    for path in sorted(original.iterdir()):
        if path.name == "manifest.json":
            continue
        content = path.read_bytes()
        (model / path.name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(InputError, match=f"{path.name} is not the file that was kept"):
            load_model(model)
        (model / path.name).unlink()
        with pytest.raises(InputError, match=f"{path.name} is missing"):
            load_model(model)
        (model / path.name).symlink_to(path)
        with pytest.raises(InputError, match=f"{path.name} is missing"):
            load_model(model)
        (model / path.name).unlink()
        (model / path.name).write_bytes(content)
    load_model(model)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda m: {**m, "version": 99}, "bundle version 99; this version reads 1"),
        (lambda m: {**m, "format": "pickle"}, "is no manifest of a kept model"),
        (lambda m: {**m, "files": {"../../secret.txt": ""}}, "does not lie in its folder"),
        (lambda m: {**m, "task": {**m["task"], "type": "astrology"}}, "describes no task"),
        (lambda m: {k: v for k, v in m.items() if k != "schema"}, "lacks 'schema'"),
        (lambda m: [m], "is no manifest"),
    ],
)
def test_a_manifest_that_is_none_is_refused(model: Path, change: Callable[[Any], Any], fault: str) -> None:
    edit(model, "manifest.json", change)
    with pytest.raises(InputError, match=fault):
        load_model(model)


HOSTILE = [
    "os:system", "subprocess:Popen", "builtins:eval", "pathlib:Path", "relbench_harness_evil:Predictor", "torch.hub:load",
    "relbench_harness.home:home", "relbench_harness.data.task:pd.Timedelta", "relbench_harness.models.codec:json.loads",
    "relbench_harness.protocol.sandbox:subprocess.Popen", "relbench_harness..x:Y", "relbench_harness.request:Path",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_no_class_outside_the_harness_and_its_plugins_is_read(model: Path, name: str) -> None:
    with pytest.raises(InputError):
        class_named(name)
    edit(model, "predictor.json", lambda tree: {**tree, "class": name})
    with pytest.raises(InputError, match=r"class|no object"):
        load_model(model).predict()


def test_what_is_no_predictor_is_refused(model: Path) -> None:
    known = json.loads((model / "predictor.json").read_text())
    for tree, fault in (
        (known["fields"]["method"], "predicts nothing"),
        ({**known, "fields": {**known["fields"], "spell": 1}}, "no field 'spell'"),
        ({**known, "fields": {}}, "needs a field"),
        ({"is": "magic", "class": "relbench_harness.errors:InputError", "fields": {}}, "is no magic"),
        ({"is": "same", "as": 7}, "does not hold a kept model"),
        ([], "predicts nothing"),
        ({}, "does not hold a kept model"),
    ):
        edit(model, "predictor.json", lambda _, tree=tree: tree)
        with pytest.raises(InputError, match=fault):
            load_model(model).predict()


def test_a_pickle_among_the_arrays_is_not_opened() -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (pytest.fail, ("a pickle was opened",))

    with io.BytesIO() as file:
        np.savez(file, a0=np.asarray([Trap()], dtype=object))
        arrays = file.getvalue()
    assert pickle.dumps(Trap()) and b"a0" in arrays
    files = {"predictor.npz": arrays, "predictor.json": json.dumps({"is": "array", "array": "a0"}).encode()}
    with pytest.raises(InputError, match="does not hold a kept model"):
        Reader(CODECS, files).read()


@pytest.mark.parametrize(
    "value",
    [
        None, True, -1, 2**70, 0.1, float("inf"), float("-inf"), "ä\ud800"[:1], (1, (2,)), [(), []], {(1, "a"): {2.5: None}},
        frozenset({"b", "a"}), b"\x00\xff", np.float32(0.1), np.int64(-5), np.bool_(True), np.arange(6).reshape(2, 3),
        np.asarray(["x", ""]), np.zeros((0, 3)),
    ],
)  # fmt: skip
def test_plain_values_come_back_as_they_were(value: object) -> None:
    found = Reader(CODECS, Writer(CODECS).write(value)).read()
    assert type(found) is type(value)
    if isinstance(value, np.ndarray):
        assert found.dtype == value.dtype and np.array_equal(found, value)
    else:
        assert found == value
    assert np.isnan(Reader(CODECS, Writer(CODECS).write(float("nan"))).read())


def test_what_has_no_form_is_refused_by_name() -> None:
    for value in (lambda: 1, open, object(), np.asarray([object()]), {1: {2: print}}):
        with pytest.raises(InputError, match="cannot be kept"):
            Writer(CODECS).write(value)


def renamed(tables: dict[str, pa.Table]) -> None:
    rows = tables["order"]
    tables["order"] = rows.rename_columns(["origin" if name == "channel" else name for name in rows.column_names])


def retyped(tables: dict[str, pa.Table]) -> None:
    rows = tables["order"]
    place = rows.column_names.index("gift")
    tables["order"] = rows.set_column(place, "gift", rows["gift"].cast(pa.string()))


def widened(tables: dict[str, pa.Table]) -> None:
    rows = tables["customer"]
    tables["customer"] = rows.append_column("shoe size", pa.array(np.arange(len(rows))))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (renamed, "column 'channel' of table 'order' is gone"),
        (retyped, "column 'gift' of table 'order' was int64 and is string"),
        (widened, "column 'shoe size' of table 'customer' is new"),
    ],
)
def test_a_schema_that_changed_is_refused(
    model: Path, tmp_path: Path, change: Callable[[dict[str, pa.Table]], None], fault: str
) -> None:
    tables = shop_tables()
    change(tables)
    other = write_shop(tmp_path / "other", tables)
    with pytest.raises(InputError, match=fault):
        load_model(model).predict(dataset=str(other.folder))


def test_the_shell_writes_predictions_and_says_what_is_wrong(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    who = tmp_path / "who.csv"
    who.write_text("customer id\n3\n1\n")
    out = tmp_path / "scores.csv"
    assert main(["predict", str(model), "--at", "2021-04-15", "--entities", str(who), "--out", str(out)]) == 0
    rows = out.read_text().splitlines()
    assert rows[0] == '"customer id","date","prediction"' and [row[0] for row in rows[1:]] == ["3", "1"]
    for arguments, fault in (
        (["--out", "scores.docx"], "cannot be written to scores.docx"),
        (["--at", "someday", "--out", str(out)], "'someday' is neither a time"),
        (["--entities", "SELECT 1 AS one", "--out", str(out)], "yields no column 'customer id'"),
        (["--entities", "SELECT * FROM read_csv('/etc/passwd')", "--out", str(out)], "does not run"),
        (["--from", "nowhere", "--out", str(out)], "no dataset 'nowhere'"),
    ):
        capsys.readouterr()
        assert main(["predict", str(model), *arguments]) == 2
        assert fault in capsys.readouterr().err
    assert out.read_text().splitlines() == rows


def test_a_sweep_keeps_each_model_in_a_folder_of_its_own(
    shop: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["run", "-m", f"task={shop.folder}/churn", "method=constant", "seed=0,1", "isolation=none"]
    common += [f"results_dir={tmp_path / 'results'}"]
    assert main([*common, f"save={tmp_path / 'models' / 'churn'}"]) == 2
    assert "is the folder of 2 runs" in capsys.readouterr().err
    assert not (tmp_path / "models").exists() and not (tmp_path / "results").exists()
    for _ in range(2):
        assert main([*common, "save=" + str(tmp_path / "models" / "churn-${seed}")]) == 0
        assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["churn-0", "churn-1"]
        shutil.rmtree(tmp_path / "models")

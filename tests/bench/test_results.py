"""What documents say was measured: they are what the records give."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from tests.bench import page, plots, results

BENCH = Path(__file__).parent


def test_the_page_is_what_the_records_give() -> None:
    assert page.PAGE.read_text(encoding="utf-8") == page.page(plots.PLOTS), "run `make benchmarks-page`"


def test_the_figures_of_the_readme_are_those_of_the_records() -> None:
    text = page.README.read_text(encoding="utf-8")
    assert text == page.readme(text), "run `make benchmarks-page`"


def test_a_figure_changed_by_hand_is_seen() -> None:
    text = page.README.read_text(encoding="utf-8")
    saved = page.one("keys_saved", suggestions="ghosts", assertiveness="bold")["saved_percent"]
    assert page.readme(text.replace(f"{saved}", "99.9")) == text


@pytest.mark.parametrize("name", plots.PLOTS)
def test_a_plot_shows_the_rows_of_its_record(name: str) -> None:
    drawn = (results.DIRECTORY / f"{name}.svg").read_text(encoding="utf-8")
    assert plots.digest(page.record(name)["rows"]) in drawn, "run `make benchmarks-page`"


def test_a_plot_is_drawn_the_same_twice(tmp_path: Path) -> None:
    rows = page.record("keys_saved")["rows"]
    for name in ("first", "second"):
        plots.save("keys_saved", rows, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_every_record_has_its_place_and_its_machine() -> None:
    found = {path.stem for path in results.DIRECTORY.glob("*.json")}
    assert found - {"gpu"} == set(page.SECTIONS)  # a GPU's rows are open where there is none
    for name in found:
        record = page.record(name)
        assert record["machine"]["processor"]
        assert record["rows"]
        assert len({tuple(row) for row in record["rows"]}) == 1, f"{name}: rows of different columns"


def test_every_benchmark_that_make_runs_writes_records_that_the_page_knows() -> None:
    lines = (results.ROOT / "Makefile").read_text().splitlines()
    run = [line for line in lines if "-m tests.bench." in line and "tests.bench.page" not in line]
    assert run
    assert all(line.endswith("$(RESULTS)") for line in run)
    for name in {re.findall(r"-m tests\.bench\.(\w+)", line)[0] for line in run}:
        calls = [
            node
            for node in ast.walk(ast.parse((BENCH / f"{name}.py").read_text()))
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "results.write"
        ]
        assert calls
        written = [call.args[1].value for call in calls if isinstance(call.args[1], ast.Constant)]
        assert set(written) <= {*page.SECTIONS, "gpu"}


def test_a_record_says_where_and_when(tmp_path: Path) -> None:
    results.write(tmp_path / "new", "a", [{"what": "x", **results.percentiles(range(1, 101))}])
    record = json.loads((tmp_path / "new" / "a.json").read_text())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", record["date"])
    assert record["machine"]["cores"] >= 1
    assert isinstance(record["machine"]["avx512_vnni"], bool)
    assert (record["rows"][0]["p50_ms"], record["rows"][0]["p99_ms"]) == (51, 100)
    results.write(None, "b", [])
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_cell_has_one_figure_and_its_column_the_unit() -> None:
    rows = [{"what": "a", "p99_ms": 1234.5, "characters_per_s": 10, "saved_percent": None}]
    assert page.table(rows) == (
        "| what | p99, ms | characters/s | saved, % |\n| --- | --: | --: | --- |\n| a | 1,234.5 | 10 | – |\n"
    )

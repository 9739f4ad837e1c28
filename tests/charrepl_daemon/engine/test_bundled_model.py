"""The model that comes with charrepl."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from charrepl.settings import model_names
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model.precision import MOST_COST
from tests.charrepl_daemon import asked
from tests.charrepl_daemon.reference import MARGIN, Reference, greedy_difference

ROOT = Path(__file__).parents[3]


# What a character's log-probability is off by at worst; in bytes the mean is another thing, and tested too.
TOLERANCE = {"f32": MARGIN, "int8": 0.25}


@pytest.fixture(scope="module")
def engines() -> dict[str, Engine]:
    return {
        name: Engine(model_names.bundled_dir(), cache_bytes=16 << 20, precision=name) for name in TOLERANCE
    }


@pytest.mark.parametrize(
    ("precision", "prompt"),
    [("f32", "ROMEO:\n"), ("f32", ""), ("f32", "All the world's a st"), ("int8", "ROMEO:\n")],
)
def test_its_500_greedy_characters_are_those_of_a_float64_lstm(engines, precision, prompt):
    reference, engine = Reference(model_names.bundled_dir()), engines[precision]
    passage = asked.passage(engine, prompt, max_chars=500)
    while not passage.done:
        engine.step([passage])
    engine.release(passage)
    margin = greedy_difference(reference, prompt, passage, tolerance=TOLERANCE[precision])
    assert margin is None or margin < TOLERANCE[precision]
    assert len(passage.text) == 500


def test_bytes_cost_it_less_than_auto_allows(engines):
    assert 0 < engines["int8"].stats()["precision_costs_nats"] < MOST_COST


def test_it_has_read_shakespeare(engines):
    _, log_probs = engines["int8"].score("To be, or not to be: that is the question.", b"", "")
    assert -sum(log_probs) / len(log_probs) < 1.5


def test_it_is_in_the_wheel_with_what_the_other_rooms_need(tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.stat().st_size < 12 << 20
    rooms = {name.split("/")[0] for name in names if not name.split("/")[0].endswith(".dist-info")}
    assert rooms == {"charrepl", "charrepl_daemon", "charrepl_train"}
    for file in ("config.toml", "vocab.json", "MODEL_CARD.md", "metrics.jsonl"):
        assert f"charrepl/bundled/shakespeare/{file}" in names
    assert {f"{room}/py.typed" for room in rooms} <= set(names)
    assert "charrepl_train/presets/laptop.toml" in names


def test_its_files_name_nobodys_directories():
    for file in model_names.bundled_dir().rglob("*"):
        if file.is_file() and file.stat().st_size < 100_000:
            assert not re.search(rb"(?<!\w)/(home|root|tmp|Users|work)\b", file.read_bytes()), file

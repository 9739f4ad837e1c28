"""The model that comes with charrepl."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from charrepl.settings import model_names
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.model.precision import MOST_COST
from charrepl_train.model_directory import loaded_model
from tests.charrepl_daemon import engine_requests
from tests.charrepl_daemon.reference import MARGIN, choice_difference, log_softmax
from tests.conftest import textbook_lstm

ROOT = Path(__file__).parents[3]


# What a character's log-probability is off by at worst; in bytes the mean is another thing, and tested too.
TOLERANCE = {"f32": MARGIN, "int8": 0.25}


@pytest.fixture(scope="module")
def engines() -> dict[str, Engine]:
    return {
        name: Engine(model_names.bundled_dir(), cache_bytes=16 << 20, precision=name) for name in TOLERANCE
    }


CASES = [("f32", "ROMEO:\n"), ("f32", ""), ("f32", "All the world's a st"), ("int8", "ROMEO:\n")]


class Written(NamedTuple):
    """What an engine has written, and the float64 LSTM's log-probabilities at each of its characters."""

    tokens: list[int]
    log_probs: list[float]
    expected: list[np.ndarray]


@pytest.fixture(scope="module")
def written(engines) -> dict[tuple[str, str], Written]:
    """By case. The float64 LSTM reads all of them side by side: its weights take most of the time."""
    loaded = loaded_model.load(model_names.bundled_dir())
    passages = []
    for precision, prompt in CASES:
        engine = engines[precision]
        passage = engine_requests.passage(engine, prompt, max_chars=500)
        while not passage.done:
            engine.step([passage])
        engine.release(passage)
        assert len(passage.text) == 500
        passages.append(passage)
    texts = [f"\n{prompt}{passage.text}" for (_, prompt), passage in zip(CASES, passages, strict=True)]
    longest = max(map(len, texts))
    tokens = [loaded.vocabulary.encode(text.ljust(longest)).tolist() for text in texts]
    _, logits = textbook_lstm(loaded.params, tokens)
    found = {}
    for row, (case, text, passage) in enumerate(zip(CASES, texts, passages, strict=True)):
        first = len(text) - 500
        expected = [log_softmax(logits[row, at - 1]) for at in range(first, len(text))]
        found[case] = Written(tokens[row][first : len(text)], passage.log_probs, expected)
    return found


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_its_500_greedy_characters_are_those_of_a_float64_lstm(written, case):
    tolerance = TOLERANCE[case[0]]
    for token, log_prob, expected in zip(*written[case], strict=True):
        difference = choice_difference(expected, token, log_prob, tolerance)
        assert difference < tolerance
        if difference > 0:  # from here on, another text would be right
            return


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

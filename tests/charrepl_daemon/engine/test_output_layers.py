"""A model whose output reads every layer's h, served in every way and precision, against a float64 LSTM."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from charrepl.wire.protocol import Decoding
from charrepl_daemon.engine.engine import Engine
from charrepl_train import hyperparameters
from charrepl_train.model_directory import checkpoint, loaded_model
from tests.charrepl_daemon import engine_requests
from tests.charrepl_daemon.reference import MARGIN, Reference, beam_search, greedy_difference

TEXT = "COOK:\nThe road is long, and the ro"
TOLERANCE = {"f32": MARGIN, "bf16": 0.1, "int8": 0.1}  # nats; in low precision what is off at worst


@pytest.fixture(scope="module")
def all_layers_dir(model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained model, its output reading the first layer too."""
    directory = shutil.copytree(model_dir, tmp_path_factory.mktemp("models") / "all")
    loaded = loaded_model.load(directory)
    config = hyperparameters.replace(loaded.config, model={"output_layers": "all"})
    (directory / "config.toml").write_text(hyperparameters.dump(config))
    w = loaded.params["output"]["w"]
    first = np.random.default_rng(0).normal(size=w.shape).astype(np.float32)
    output = {**loaded.params["output"], "w": np.concatenate([first, w])}
    checkpoint.save(directory, "best", loaded.step + 1, {**loaded.params, "output": output})
    return directory


@pytest.fixture(scope="module")
def reference(all_layers_dir: Path) -> Reference:
    return Reference(all_layers_dir)


@pytest.fixture(scope="module", params=TOLERANCE)
def precision(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def engine(all_layers_dir: Path, precision: str) -> Engine:
    return Engine(all_layers_dir, cache_bytes=1 << 20, precision=precision)


@pytest.mark.parametrize("adapts", [False, True])
@pytest.mark.parametrize("text", ["", TEXT])
def test_ghosts_are_those_of_a_float64_lstm(engine, reference, precision, adapts, text):
    request = engine_requests.complete(text, max_chars=48, stop="none", decoding=Decoding(adapt=adapts))
    (written,) = engine.planner.ghosts("s", request)
    while not written.done:
        engine.step([written])
    margin = greedy_difference(reference, text, written, adapts=adapts, tolerance=TOLERANCE[precision])
    assert margin is None or margin < TOLERANCE[precision]


def test_scores_are_exact_whatever_ghosts_are_computed_in(engine, reference):
    _, found = engine.score(TEXT, b"", "")
    state = reference.read("")
    for token, log_prob in zip(reference.vocabulary.encode(TEXT), found, strict=True):
        assert abs(reference.log_probs(state)[token] - log_prob) < MARGIN
        state = reference.step(state, token)


def test_a_beam_search_finds_what_a_plain_search_finds(engine, reference, precision):
    engine.make("search")
    reading, search = engine.planner.searched(
        "s", engine_requests.complete(TEXT, max_chars=16, stop="none", decoding=Decoding(beam=3))
    )
    while not reading.done:
        engine.step([reading])
    while not search.done:
        engine.search(search)
    _, log_probs = engine.found(search)
    _, likely = beam_search(reference, TEXT, beams=3, max_chars=16)
    gain = sum(log_probs) - likely
    # What is rounded may keep other beams, and find a likelier ghost by them.
    assert -TOLERANCE[precision] < gain and (precision != "f32" or gain < TOLERANCE[precision])

"""What is chosen where nobody has said."""

from __future__ import annotations

import pytest

from charrepl_train.hyperparameters import preset
from charrepl_train.run import presets
from charrepl_train.text import split


@pytest.mark.parametrize(
    ("characters", "on_gpu", "name"),
    [
        (10_000, False, "small"),
        (10_000, True, "small"),
        (1_000_000, False, "laptop"),
        (1_000_000, True, "gpu"),
        (500_000_000, False, "laptop"),
    ],
)
def test_the_device_and_the_length_choose_the_preset(characters: int, on_gpu: bool, name: str) -> None:
    choice = presets.choose(characters, on_gpu=on_gpu)
    assert choice.name == name
    assert choice.config.model == preset(name).model


def test_weights_to_start_from_choose_the_preset_before_all_else() -> None:
    assert {
        presets.choose(n, on_gpu=gpu, begun=True).name for n in (10_000, 10**8) for gpu in (False, True)
    } == {"finetune"}


def read(characters: int) -> float:
    """Characters read in the whole run."""
    training = presets.choose(characters, on_gpu=False).config.training
    return training.epochs * split.lengths(characters, training)[0]


def test_a_short_text_is_read_often_and_a_long_one_in_part() -> None:
    assert 50 < presets.choose(10_000, on_gpu=False).config.training.epochs < 200
    assert presets.choose(500_000_000, on_gpu=False).config.training.epochs < 0.1
    lengths = [1_000, 10_000, 50_000, 150_000, 300_000, 1_000_000, 5_000_000, 500_000_000]
    amounts = [read(length) for length in lengths]
    assert amounts == pytest.approx(sorted(amounts), rel=0.01)  # epochs are rounded
    assert max(amounts) / min(amounts) < 50  # none takes a second, and none a day


def test_one_character_is_not_too_few_to_choose_for() -> None:
    assert presets.choose(1, on_gpu=False).name == "small"

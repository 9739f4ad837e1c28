"""The three parts of a text: what always holds, whatever the files and the settings."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text.split import Range, kept, lengths, split


def settings(**changed: Any) -> TrainingConfig:
    return msgspec.structs.replace(TrainingConfig(sequence_length=1), **changed)


def total(part: tuple[Range, ...]) -> int:
    return sum(stop - start for start, stop in part)


fractions = st.sampled_from([0, 0.001, 0.01, 0.05, 0.1, 0.5])
files = st.lists(st.integers(1, 20_000) | st.integers(20_000, 60_000_000), min_size=1, max_size=80).filter(
    lambda lengths: sum(lengths) >= 400
)


@given(files, fractions, fractions)
def test_the_parts_are_apart_and_cover_the_text(files: list[int], held_out: float, dev: float) -> None:
    parts = split(files, settings(held_out=held_out, dev=dev))
    place = 0
    for start, stop in sorted(range_ for part in parts for range_ in part):
        assert start == place < stop
        place = stop
    assert place == sum(files)
    assert all(part == tuple(sorted(part)) for part in parts)


@given(files, fractions, fractions)
def test_the_shares_hold_to_the_character(files: list[int], held_out: float, dev: float) -> None:
    config, characters = settings(held_out=held_out, dev=dev), sum(files)
    parts = split(files, config)
    assert tuple(map(total, parts)) == lengths(characters, config)
    assert total(parts.held_out) == min(characters - int(characters * (1 - held_out)), 1_000_000)
    rest = characters - total(parts.held_out)
    if dev:
        assert total(parts.dev) == min(max(int(rest * dev), min(16_000, rest // 10)), 65_536)
    else:
        assert parts.dev == ()


@given(files)
def test_what_is_right_before_a_held_out_part_is_learnt(files: list[int]) -> None:
    parts = split(files, settings())
    ends = {stop for _, stop in parts.train}
    assert {start for start, _ in parts.held_out} <= ends


@given(st.lists(st.integers(4_096, 60_000), min_size=1, max_size=40))
def test_every_file_gives_a_part_of_each_kind(files: list[int]) -> None:
    parts = split(files, settings())
    start = 0
    for length in files if min(files) * 64 >= sum(files) else []:
        stop = start + length
        for part, share in ((parts.held_out, 0.1), (parts.dev, total(parts.dev) / sum(files))):
            within = sum(max(0, min(b, stop) - max(a, start)) for a, b in part)
            assert abs(within - share * length) <= 3
        assert parts.held_out[-1][1] == sum(files)
        start = stop


def test_short_files_are_taken_together() -> None:
    parts = split([500] * 100, settings())
    assert len(parts.held_out) == len(parts.dev) == 11
    assert {stop % 500 for _, stop in parts.held_out} == {0}
    assert len(split([500] * 100_000, settings()).held_out) <= 64


def test_one_file_starts_with_dev_and_ends_with_the_held_out_part() -> None:
    parts = split([1_115_394], settings())
    assert parts.held_out == ((1_115_394 - 111_540, 1_115_394),)
    assert parts.dev == ((0, 50_192),)


def test_what_is_beyond_a_million_characters_is_learnt() -> None:
    parts = split([28_000_000], settings())
    assert parts.held_out == ((27_000_000, 28_000_000),)
    assert total(parts.dev) == 65_536


@pytest.mark.parametrize("characters", [1, 64])
def test_a_text_shorter_than_a_sequence_names_the_setting(characters: int) -> None:
    with pytest.raises(CharreplError, match=r"sequence_length = 64 needs 65.* smaller sequence_length"):
        split([characters], TrainingConfig(held_out=0, dev=0))


def test_a_run_keeps_the_parts_it_began_with() -> None:
    parts = split([5_000, 9_000], settings())
    assert kept(parts)([1], settings()) is parts
    assert msgspec.json.decode(msgspec.json.encode(parts), type=type(parts)) == parts


def test_a_run_from_before_its_split_was_kept_has_dev_before_the_held_out_part() -> None:
    parts = kept(None)([600_000, 400_000], settings(dev=0.01))
    assert parts == (((0, 891_000),), ((891_000, 900_000),), ((900_000, 1_000_000),))
    long = kept(None)([12_000_000], settings())
    assert long == (((0, 10_734_464),), ((10_734_464, 10_800_000),), ((10_800_000, 11_800_000),))

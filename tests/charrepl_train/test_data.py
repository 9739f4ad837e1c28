"""Reading, splitting and batching text."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl_train import data
from charrepl_train.config import TrainingConfig, preset
from charrepl_train.vocab import Vocabulary

TINY = Path(__file__).parents[3] / "shared" / "data" / "tinyshakespeare.txt"


def settings(**changed: Any) -> TrainingConfig:
    return msgspec.structs.replace(TrainingConfig(held_out=0, dev=0), **changed)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist: name a UTF-8 text file"),
        (b"", "is empty"),
        (b"caf\xe9 au lait", "is not UTF-8 at byte 3: convert it"),
        (b"\xef\xbb\xbfcaf\xe9", "is not UTF-8 at byte 6"),
        (b"two\0bytes", "has a NUL byte at offset 3"),
        ("wide".encode("utf-16"), "has a NUL byte at offset 3"),
    ],
)
def test_a_file_that_is_no_text_is_named(tmp_path: Path, content: bytes | None, complaint: str) -> None:
    path = tmp_path / "corpus.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CharreplError, match=re.escape(f"{path} {complaint}")):
        data.read_corpus([path])


def test_a_directory_is_not_a_text(tmp_path: Path) -> None:
    with pytest.raises(CharreplError, match=r"is a directory: name the text files in it"):
        data.read_corpus([tmp_path])


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    path.write_text("secret")
    path.chmod(0)
    read = "import os, sys; from pathlib import Path; from charrepl_train import data\n"
    if os.getuid() == 0:  # root may read anything: another user does the reading
        for folder in (tmp_path, *tmp_path.parents[:2]):
            folder.chmod(0o755)
        read += "os.setuid(65534)\n"
    read += "data.read_corpus([Path(sys.argv[1])])"
    done = subprocess.run(
        [sys.executable, "-c", read, path], capture_output=True, text=True, timeout=60, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last == f"charrepl.errors.CharreplError: cannot read {path}: Permission denied"


@pytest.mark.parametrize("text", ["x", "x" * 64])
def test_a_text_shorter_than_a_sequence_names_the_setting(text: str) -> None:
    with pytest.raises(CharreplError, match=r"sequence_length = 64 needs 65.* smaller sequence_length"):
        data.split(text, settings())


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\nc\n"),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", "\ufeffa"),
        ("naïve 😀".encode(), "naïve 😀"),
    ],
)
def test_byte_order_marks_and_line_ends_are_normalised(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert data.read_corpus([tmp_path / "a.txt"]) == text


@pytest.mark.parametrize(
    ("contents", "text"), [(["a", "a", "a"], "a\na\na"), (["one\n", "two", "three\n"], "one\ntwo\nthree\n")]
)
def test_files_are_joined_at_line_ends(tmp_path: Path, contents: list[str], text: str) -> None:
    paths = [tmp_path / f"{n}.txt" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_text(content)
    assert data.read_corpus(paths) == text


def test_the_held_out_part_of_tinyshakespeare_is_its_last_111540_characters() -> None:
    if not TINY.exists():
        pytest.skip(f"{TINY} is not here")
    text = data.read_corpus([TINY])
    parts = data.split(text, TrainingConfig())
    assert parts.held_out == text[-111_540:]
    assert parts.dev == text[-111_540 - 50_192 : -111_540]
    assert parts.train + parts.dev + parts.held_out == text


@given(
    st.integers(200, 5000), st.sampled_from([0, 0.01, 0.05, 0.1, 0.5]), st.sampled_from([0, 0.001, 0.05, 0.5])
)
def test_the_parts_follow_each_other(length: int, held_out: float, dev: float) -> None:
    text = "".join(chr(0x4E00 + n) for n in range(length))
    parts = data.split(text, settings(held_out=held_out, dev=dev, sequence_length=16))
    assert "".join(parts) == text
    assert len(parts.held_out) == length - int(length * (1 - held_out))
    wanted = int((length - len(parts.held_out)) * dev)
    assert len(parts.dev) == (wanted if wanted >= 2 else 0)


def test_long_parts_are_measured_in_part() -> None:
    parts = data.split("x" * 12_000_000, TrainingConfig())
    assert (len(parts.dev), len(parts.held_out)) == (65_536, 1_000_000)
    assert len(parts.train) == 10_800_000 - 65_536


corpora = st.integers(2, 400).flatmap(
    lambda n: st.tuples(st.just(np.arange(n, dtype=np.int32)), st.integers(1, n - 1), st.integers(1, 40))
)


@given(corpora, st.integers(0, 3))
def test_streams_read_on_where_the_step_before_stopped(case: tuple[np.ndarray, int, int], seed: int) -> None:
    ids, time, batch = case
    batches = data.Batches(ids, settings(sequence_length=time, batch_size=batch, seed=seed))
    assert batches.stateful
    before = None
    for step in range(2 * batches.steps_per_epoch):
        inputs, targets = batches(step)
        assert inputs.shape == targets.shape == (batches.batch_size, time)
        np.testing.assert_array_equal(targets, inputs + 1)  # the next character, the ids being places
        assert batches.starts_epoch(step) == (step % batches.steps_per_epoch == 0)
        if before is not None and not batches.starts_epoch(step):
            np.testing.assert_array_equal(inputs[:, 0], before[:, -1])
        before = targets


@given(corpora, st.integers(0, 3), st.randoms(use_true_random=False))
def test_a_batch_is_a_pure_function_of_its_step_and_the_seed(case, seed: int, random) -> None:
    ids, time, batch = case
    config = settings(sequence_length=time, batch_size=batch, seed=seed)
    straight = data.Batches(ids, config)
    expected = [straight(step) for step in range(6)]
    resumed = data.Batches(ids, config)
    for step in random.sample(range(6), 6):
        np.testing.assert_array_equal(resumed(step), expected[step])


def test_streams_cover_the_text_over_the_epochs() -> None:
    ids = np.arange(1000, dtype=np.int32)
    batches = data.Batches(ids, settings(sequence_length=60, batch_size=4))
    seen = set()
    for step in range(40 * batches.steps_per_epoch):
        seen.update(batches(step)[1].ravel().tolist())
    assert len(seen) > 990  # an epoch alone: 960


def test_the_seed_preset_cuts_the_article_s_chunks() -> None:
    text = "".join(chr(97 + n % 26) for n in range(50 * 70 + 49))
    training = preset("seed").training
    assert data.split(text, training) == (text, "", "")
    batches = data.Batches(Vocabulary(text).encode(text), training)
    assert (batches.batch_size, batches.steps_per_epoch) == (32, 2)
    vocabulary = Vocabulary(text)
    for step in range(5):
        inputs, targets = batches(step)
        chunks = [text[50 * n : 50 * n + 50] for n in range(step % 2 * 32, step % 2 * 32 + 32)]
        assert [vocabulary.decode(row) for row in inputs] == [chunk[:-1] for chunk in chunks]
        assert [vocabulary.decode(row) for row in targets] == [chunk[1:] for chunk in chunks]
        assert batches.starts_epoch(step)  # the carry is zeroed at every chunk


@given(st.integers(2, 300), st.integers(1, 40))
def test_equal_streams_give_every_target_weight_one_once(length: int, streams: int) -> None:
    ids = np.arange(length, dtype=np.int32)
    inputs, targets, weights = data.in_streams(ids, streams)
    assert inputs.shape == targets.shape == weights.shape
    assert len(inputs) == streams
    np.testing.assert_array_equal(targets, inputs + 1)
    assert targets[weights == 1].tolist() == list(range(1, length))
    assert set(np.unique(weights)) <= {0, 1}
    real = weights[:, 1:] == 1  # within a stream the text goes on
    np.testing.assert_array_equal(inputs[:, 1:][real], targets[:, :-1][real])

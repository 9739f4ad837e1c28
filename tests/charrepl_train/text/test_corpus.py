"""Reading text files, of any length, into ids."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl.files import text_files
from charrepl_train.hyperparameters import TrainingConfig
from charrepl_train.text import corpus as corpus_module
from charrepl_train.text.character_folding import NFC, NormalForm
from charrepl_train.text.corpus import Corpus, read
from charrepl_train.text.vocabulary import UNKNOWN, Vocabulary

ALL = TrainingConfig(held_out=0, dev=0, sequence_length=1)


def plainly(contents: list[bytes]) -> str:
    """What reading files of these contents must come to, with all of them in memory."""
    texts = [c.decode().replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n") for c in contents]
    ended = [text if text.endswith("\n") else text + "\n" for text in texts[:-1]]
    return "".join([*ended, texts[-1]])


def plain_vocabulary(text: str, most: int) -> Vocabulary:
    known = sorted(set(text), key=lambda char: (-text.count(char), char))[:most]
    return Vocabulary("".join(known), normal_form=NFC)


def written(folder: Path, contents: list[bytes]) -> list[Path]:
    paths = [folder / f"{n}.txt" for n in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    return paths


def loaded(paths: list[Path], config: TrainingConfig = ALL, *, normal_form: NormalForm = NFC) -> Corpus:
    with read(paths, near=paths[0].parent) as text:
        return text.corpus(config, normal_form=normal_form)


def text_of(corpus: Corpus) -> str:
    return corpus.vocabulary.decode(whole(corpus))


def whole(corpus: Corpus) -> np.ndarray:
    """The ids of the whole text, put together again from its parts."""
    ids = np.zeros(sum(stop - start for part in corpus.split for start, stop in part), corpus.train.dtype)
    place = 0
    for start, stop in corpus.split.train:
        ids[start:stop] = corpus.train[place : place + stop - start]
        place += stop - start
    for ranges, part in ((corpus.split.dev, corpus.dev), (corpus.split.held_out, corpus.held_out)):
        for (start, stop), piece in zip(ranges, part.pieces(), strict=True):
            ids[start:stop] = piece
    return ids


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One for all examples of a property."""
    return tmp_path_factory.mktemp("corpora")


@contextlib.contextmanager
def limits(chunk: int, memory: int) -> Iterator[None]:
    """Reads so many bytes at a time, and keeps no more than so many in memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_files, "_CHUNK", chunk)
        patch.setattr(corpus_module, "_IN_MEMORY", memory)
        yield


limited = st.tuples(st.integers(1, 7), st.sampled_from([1, 2**20]))

# Byte order marks, line ends, and characters of one to four bytes.
contents = st.lists(
    st.text(
        st.sampled_from("a\n\r\ufeffä€😀") | st.characters(exclude_characters="\0", exclude_categories=["Cs"])
    )
    .filter(lambda text: text.strip("\ufeff"))
    .map(str.encode),
    min_size=1,
    max_size=3,
).filter(lambda files: len(plainly(files)) >= 2)


@given(contents=contents, limited=limited)
@example(contents=[b"\xef\xbb\xbfb", b"\xef\xbb\xbf\xef\xbb\xbfa\r", b"\n\r\r\n"], limited=(1, 1))
def test_reading_in_pieces_comes_to_the_same(
    folder: Path, contents: list[bytes], limited: tuple[int, int]
) -> None:
    plain = plainly(contents)
    with limits(*limited), read(written(folder, contents), near=folder) as text:
        corpus = text.corpus(ALL)
    assert text_of(corpus) == unicodedata.normalize("NFC", plain)
    assert text.characters == len(plain)
    assert text.digest == hashlib.sha256(plain.encode()).hexdigest()
    assert corpus.train.dtype == np.min_scalar_type(len(corpus.vocabulary) - 1)


@given(
    text=st.text(st.sampled_from("abc\nä€😀"), min_size=20),
    most=st.integers(2, 8),
    held_out=st.sampled_from([0, 0.1, 0.5]),
    limited=limited,
)
def test_the_vocabulary_is_that_of_the_training_part(
    folder: Path, text: str, most: int, held_out: float, limited: tuple[int, int]
) -> None:
    config = msgspec.structs.replace(ALL, held_out=held_out, dev=0.2, max_characters=most)
    with limits(*limited):
        corpus = loaded(written(folder, [text.encode()]), config)
    learnt = "".join(text[start:stop] for start, stop in corpus.split.train)
    assert corpus.vocabulary == plain_vocabulary(learnt, most)
    np.testing.assert_array_equal(whole(corpus), corpus.vocabulary.encode(text))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "does not exist: name a text file"),
        (b"", "is empty: name a text file with something in it"),
        (b"\xef\xbb\xbf", "is empty: name a text file with something in it"),
        (
            b"caf\xe9 au lait",
            "is not UTF-8 at byte 3, it looks like WINDOWS-1252: if “café au lait” reads well, run iconv -f ",
        ),
        (b"\xef\xbb\xbfcaf\xe9s", "is not UTF-8 at byte 6"),
        (b"a\r\n\r\nb\xe2\x82", "is not UTF-8 at byte 6"),
        (b"\xe2\x82\xac\xed\xa0\x80", "is not UTF-8 at byte 3"),
        (b"two\0bytes", "has a NUL byte at offset 3: it is not text, or not UTF-8"),
        ("wide".encode("utf-16"), "is UTF-16, not UTF-8: run iconv -f UTF-16 -t UTF-8 "),
        (b"\xff" + b"a" * 100 + b"\0", "has only NUL bytes from offset 101 on"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 2, 3, 1000])
def test_a_file_that_is_no_text_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, complaint: str, chunk: int
) -> None:
    monkeypatch.setattr(text_files, "_CHUNK", chunk)
    path, good = tmp_path / "corpus.txt", tmp_path / "good.txt"
    good.write_text("Good text.\n")
    if content is not None:
        path.write_bytes(content)
    for paths in ([path], [good, path]):
        with pytest.raises(CharreplError, match="^" + re.escape(f"{path} {complaint}")):
            loaded(paths)


def test_a_directory_is_not_a_text(tmp_path: Path) -> None:
    with pytest.raises(CharreplError, match=r"is a directory: name the text files in it"):
        loaded([tmp_path])


def test_an_unreadable_file_is_named(public: Path) -> None:
    path = public / "corpus.txt"
    path.write_text("secret")
    path.chmod(0)
    code = "import os, sys; from pathlib import Path; from charrepl_train.text.corpus import read\n"
    if os.getuid() == 0:  # root may read anything: another user does the reading
        code += "os.setuid(65534)\n"
    code += "read([Path(sys.argv[1])], near=Path(sys.argv[1])).__enter__()"
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, timeout=60, check=False
    )
    last = done.stderr.splitlines()[-1]
    assert last == f"charrepl.errors.CharreplError: cannot read {path}: Permission denied"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\nc\n"),
        (b"\xef\xbb\xbf\xef\xbb\xbfab", "ab"),
        ("naïve 😀".encode(), "naïve 😀"),
    ],
)
def test_byte_order_marks_and_line_ends_are_normalised(tmp_path: Path, content: bytes, text: str) -> None:
    assert text_of(loaded(written(tmp_path, [content]))) == text


@pytest.mark.parametrize(
    ("contents", "text"),
    [([b"a", b"a", b"a"], "a\na\na"), ([b"one\n", b"two", b"three\n"], "one\ntwo\nthree\n")],
)
def test_files_are_joined_at_line_ends(tmp_path: Path, contents: list[bytes], text: str) -> None:
    assert text_of(loaded(written(tmp_path, contents))) == text


def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    code = """if True:
        from pathlib import Path
        from charrepl_train.text.corpus import read
        with read([Path("/dev/stdin")], near=Path.cwd()) as text:
            print(text.characters)"""
    done = subprocess.run(
        [sys.executable, "-c", code], input=b"x" * 3_000_000, capture_output=True, cwd=tmp_path, check=True
    )
    assert done.stdout == b"3000000\n"


# As in a long Chinese text: more kinds than are kept, most of them rare.
HAN = "".join(chr(0x4E00 + n) * (1 + (n < 300)) for n in range(1200)) + "😀\n" * 400


def test_the_rare_of_a_large_alphabet_are_unknown(tmp_path: Path) -> None:
    config = msgspec.structs.replace(ALL, max_characters=302)
    corpus = loaded(written(tmp_path, [HAN.encode()]), config)
    assert corpus.train.dtype == np.uint16
    assert corpus.vocabulary.characters == "\n" + HAN[:600:2] + "😀"
    assert np.count_nonzero(corpus.train == UNKNOWN) == 900


def test_a_large_alphabet_is_trained_on(tmp_path: Path, make_trainer) -> None:
    trainer = make_trainer(
        tmp_path / "han",
        HAN * 3,
        max_characters=400,
        dev=0.2,
        epochs=0.1,
        evaluations=1,
        sample_characters=20,
    )
    assert len(trainer.vocabulary) == 401
    (*_, last) = trainer.train()
    assert np.isfinite([last.loss, last.dev_loss]).all()
    assert set(last.sample) <= set(trainer.vocabulary.characters)
    assert np.isfinite(trainer.finish()["held_out_loss"])


@pytest.mark.parametrize("most", [255, 256, 65_535])
def test_ids_of_any_alphabet_fit(tmp_path: Path, most: int) -> None:
    kinds = [chr(n) for n in range(0x20, 0x11000) if not 0xD800 <= n < 0xE000 and n != 0xFEFF]
    text = "".join(kinds[: most + 1] + kinds[:most])
    config = msgspec.structs.replace(ALL, max_characters=most)
    corpus = loaded(written(tmp_path, [text.encode()]), config, normal_form="")
    assert len(corpus.vocabulary) == most + 2  # the unknown and the newline
    np.testing.assert_array_equal(corpus.train, corpus.vocabulary.encode(text))


def test_nothing_is_left_beside_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "_IN_MEMORY", 1)
    path = tmp_path / "corpus.txt"
    path.write_text("Some text.\n" * 100)
    near = tmp_path / "models" / "new"
    with read([path], near=near) as text:
        corpus = text.corpus(ALL)
        assert list(tmp_path.iterdir()) == [path]
    assert text_of(corpus) == path.read_text()


LIMITED = """if True:
    import resource, sys
    from pathlib import Path
    from charrepl_train.hyperparameters import TrainingConfig
    from charrepl_train.text.corpus import read
    path = Path(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
    with read([path], near=path.parent) as text:
        text.corpus(TrainingConfig())"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "corpus.txt"
    with path.open("wb") as file:
        for _ in range(40):
            file.write(b"x" * 2**20)
    for limit in (2**20, 36 * 2**20):  # met while the file is begun, and later
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", LIMITED, path, str(limit)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stderr.splitlines()[-1] == (
            f"charrepl.errors.CharreplError: could not keep the text, twice its size, in a temporary "
            f"file in {tmp_path}: File too large: raise the limit on the size of files (ulimit -f) or choose "
            "another disk with --out"
        )
        assert list(tmp_path.iterdir()) == [path]


MEASURED = """if True:
    import resource, sys
    from pathlib import Path
    from charrepl_train.hyperparameters import TrainingConfig
    from charrepl_train.text.corpus import read

    def peak_bytes():
        if sys.platform == "darwin":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        # Not ru_maxrss: on Linux it begins with that of the process that started this one.
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    before = peak_bytes()
    path = Path(sys.argv[1])
    with read([path], near=path.parent) as text:
        corpus = text.corpus(TrainingConfig())
    assert "jax" not in sys.modules
    print(text.characters, corpus.train.nbytes, peak_bytes() - before)"""


def test_a_long_text_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    line = "Größe ist keine Frage des Speichers, und 😀 kostet im Text vier Bytes.\n"
    with path.open("wb") as file:
        for _ in range(64):
            file.write((line * (2**20 // len(line.encode()))).encode())
    done = subprocess.run([sys.executable, "-c", MEASURED, path], capture_output=True, text=True, check=True)
    characters, trained_on, taken = map(int, done.stdout.split())
    assert characters > 60_000_000
    assert trained_on > 0.8 * characters  # a byte each
    # In memory the text alone would be 4 bytes a character. It takes what may stay there, twice, and some.
    assert taken < 2 * corpus_module._IN_MEMORY + 48 * 2**20 < characters * 4 / 2

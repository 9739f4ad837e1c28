"""Text files as people have them: what is read of them, and what is said of those that are something else."""

from __future__ import annotations

import bz2
import fcntl
import gzip
import io
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from charrepl.errors import CharreplError
from charrepl.files import encodings, file_signatures, text_files
from charrepl.files.text_files import Source

# What a person would have in each: sentences, so that a language can be told.
TEXTS = {
    "fr": "Longtemps, je me suis couché de bonne heure. Parfois, à peine ma bougie éteinte, mes yeux se "
    "fermaient si vite que je n’avais pas le temps de me dire : « Je m’endors. » Et, une demi-heure après, "
    "la pensée qu’il était temps de chercher le sommeil m’éveillait.\n",
    "de": "Als Gregor Samsa eines Morgens aus unruhigen Träumen erwachte, fand er sich in seinem Bett zu "
    "einem ungeheueren Ungeziefer verwandelt und sah seinen gewölbten, von bogenförmigen Versteifungen "
    "geteilten Bauch.\n",
    "en": "He said “no”, and that was that — it’s a café, naïve or not. The rest is plain.\n",
    "pl": "Litwo! Ojczyzno moja! ty jesteś jak zdrowie; Ile cię trzeba cenić, ten tylko się dowie, kto cię "
    "stracił. Dziś piękność twą w całej ozdobie widzę i opisuję, bo tęsknię po tobie.\n",
    "ru": "Все счастливые семьи похожи друг на друга, каждая несчастливая семья несчастлива по-своему. "
    "Всё смешалось в доме Облонских. Жена узнала, что муж был в связи с бывшею в их доме гувернанткой.\n",
    "el": "Σα βγεις στον πηγαιμό για την Ιθάκη, να εύχεσαι νάναι μακρύς ο δρόμος, γεμάτος περιπέτειες.\n",
    "zh": "话说天下大势，分久必合，合久必分。周末七国分争，并入于秦。及秦灭之后，楚、汉分争，又并入于汉。\n",
    "zht": "話說天下大勢，分久必合，合久必分。周末七國分爭，并入於秦。及秦滅之後，楚、漢分爭，又并入於漢。\n",
    "ja": "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で"
    "ニャーニャー泣いていた事だけは記憶している。\n",
    "ko": "산산이 부서진 이름이여! 허공 중에 헤어진 이름이여! 불러도 주인 없는 이름이여! 부르다가 내가 "
    "죽을 이름이여! 심중에 남아 있는 말 한마디는 끝끝내 마저 하지 못하였구나.\n",
}


def text_of(path: Path, **given: str) -> str:
    return "".join(text_files.pieces(path, **given))


def complaint(path: Path, data: bytes, **given: str) -> str:
    path.write_bytes(data)
    with pytest.raises(CharreplError) as caught:
        text_of(path, **given)
    return str(caught.value).removeprefix(f"{path} ").replace(str(path), "FILE")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "text.txt"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xef\xbb\xbfa\r\nb\rc\n", "a\nb\nc\n"),
        (b"\r\n\r\r\n", "\n\n\n"),
        ("\ufeffa\n\ufeffb".encode(), "a\nb"),  # two files, as cat joins them
        (b"", ""),
        (b"\xef\xbb\xbf", ""),
        ("naïve 😀".encode()[:-1], "naïve "),  # as head -c leaves it
        ("é naïve".encode()[1:], " naïve"),  # and tail -c
    ],
)
def test_marks_line_ends_and_cut_characters_are_no_part_of_a_text(file: Path, data: bytes, text: str) -> None:
    file.write_bytes(data)
    assert text_of(file) == text


@pytest.mark.parametrize(
    ("language", "encoding", "name"),
    [
        ("fr", "cp1252", "WINDOWS-1252"),
        ("fr", "latin1", "WINDOWS-1252"),
        ("de", "latin1", "WINDOWS-1252"),
        ("en", "cp1252", "WINDOWS-1252"),
        ("pl", "cp1250", "WINDOWS-1250"),
        ("ru", "cp1251", "WINDOWS-1251"),
        ("ru", "koi8_r", "KOI8-R"),
        ("ru", "cp866", "CP866"),
        ("el", "cp1253", "WINDOWS-1253"),
        ("zh", "gbk", "GB18030"),
        ("zht", "big5", "BIG5"),
        ("ja", "shift_jis", "CP932"),
        ("ja", "euc_jp", "EUC-JP"),
        ("ja", "iso2022_jp", "ISO-2022-JP"),
        ("ko", "euc_kr", "CP949"),
    ],
)
@pytest.mark.parametrize("times", [1, 2000])
def test_another_encoding_is_named_and_the_advice_brings_the_text_back(
    file: Path, language: str, encoding: str, name: str, times: int
) -> None:
    text = (TEXTS[language] * times).encode(encoding, "ignore").decode(encoding)
    said = complaint(file, text.encode(encoding), option="--encoding")
    assert f" {name}" in said
    assert f"iconv -f {name} -t UTF-8 FILE > utf-8.txt, or give --encoding {name}" in said
    assert text_of(file, encoding=name) == text
    if times == 1 and shutil.which("iconv"):
        done = subprocess.run(["iconv", "-f", name, "-t", "UTF-8", file], capture_output=True, check=True)
        assert done.stdout.decode() == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("“Don’t,” she said. “I won’t—never.”\n", "mac_roman"),
        ("Itt az idő, most vagy soha! Hűség és bőség, kezdődő tűz.\n", "cp1250"),
        ("Ei laaksoa, ei kukkulaa, ei vettä rantaa rakkaampaa kuin kotimaa tää.\n", "cp850"),
        ("Il a mangé au café, et il a regardé la télé.\n", "cp437"),
    ],
)
def test_what_is_not_western_is_not_called_so(file: Path, text: str, encoding: str) -> None:
    said = complaint(file, text.encode(encoding) * 20)
    assert "looks like WINDOWS-1252" not in said


def test_a_guess_shows_how_the_text_would_read(file: Path) -> None:
    said = complaint(file, b"plain\n" * 1000 + "Un jour, à l’école, tout près du café\n".encode("cp1252") * 9)
    assert (
        "it looks like WINDOWS-1252: if “Un jour, à l’école, tout près du café Un jour, à” reads well, run"
        in said
    )


@pytest.mark.parametrize("language", sorted(TEXTS))
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
def test_wide_encodings_are_named_with_a_mark_and_without(file: Path, language: str, encoding: str) -> None:
    text = "Yes. " + TEXTS[language] * 3
    said = complaint(file, text.encode(encoding))
    name = encoding.upper().replace("-LE", "LE").replace("-BE", "BE")
    assert said == f"is {name}, not UTF-8: run iconv -f {name} -t UTF-8 FILE > utf-8.txt"
    assert text_of(file, encoding=name) == text


def test_a_few_bad_bytes_in_utf_8_are_not_another_encoding(file: Path) -> None:
    said = complaint(file, TEXTS["fr"].encode() * 10 + b"caf\xe9\n")
    most = "but most of it is: to leave out the rest, run iconv -c -f UTF-8 -t UTF-8"
    assert most in said
    assert most in complaint(file, b"plain text\n" * 500 + b"with an \x81\n")


def test_bytes_that_are_nothing_are_no_encoding(file: Path) -> None:
    said = complaint(file, bytes(range(0x80, 0x100)) * 3)
    assert said == "is not UTF-8 at byte 0, and no encoding fits: if it is text, ask its source " + (
        "which encoding it has"
    )
    assert complaint(file, b"two\0bytes") == "has a NUL byte at offset 3: it is not text, or not UTF-8"
    assert complaint(file, b"as after a crash\n" + bytes(99)) == (
        "has only NUL bytes from offset 17 on: to get the text before them, head -c 17 FILE > text.txt"
    )


def zipped(name: str, content: bytes = b"x") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (
            gzip.compress(b"text", mtime=0),  # the test's name, in each process that collects it
            "compressed by gzip: get the text out of it first, as in gzip -dc FILE > text",
        ),
        (bz2.compress(b"text"), "compressed by bzip2: "),
        (zipped("a.txt"), "a zip archive: get the text out of it first, as in unzip -p FILE > text.txt"),
        (zipped("word/document.xml"), "a Word document (docx): "),
        (zipped("mimetype", b"application/epub+zip"), "an e-book (epub): "),
        (zipped("mimetype", b"application/vnd.oasis.opendocument.text"), "an OpenDocument file: "),
        (b"%PDF-1.4\nplain so far\n", "a PDF document: get the text out of it first, as in pdftotext FILE -"),
        (b"{\\rtf1\\ansi plain so far}", "a rich text document (RTF): "),
        (b"\x7fELF\x02\x01\x01" + bytes(100), "a program: name a text file"),
    ],
)
def test_files_that_are_no_text_are_named_for_what_they_are(file: Path, data: bytes, what: str) -> None:
    assert complaint(file, data).startswith(f"is {what}")


def test_an_encoding_that_is_given_is_used_and_doubted_where_it_cannot_be(file: Path) -> None:
    file.write_bytes(TEXTS["fr"].encode("utf-8-sig"))
    assert text_of(file, encoding="latin1") == TEXTS["fr"]  # a mark says more
    data = TEXTS["ja"].encode("euc_jp")
    with pytest.raises(UnicodeDecodeError) as at_once:
        data.decode("shift_jis")
    said = complaint(file, data, encoding="shift_jis", option="--encoding")
    assert said.startswith(
        f"is not shift_jis at byte {at_once.value.start}: give another --encoding, such as CP932"
    )
    assert complaint(file, b"\xff\xfea\0", encoding="gbk").startswith("is UTF-16, not gbk: ")
    assert complaint(file, b"a\0b", encoding="latin1") == (
        "has NUL characters in it: it is not text, or not latin1"
    )


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("nonsense", "iconv -l lists them"),
        ("base64", "iconv -l"),
        ("koi8", "did you mean KOI8-R?"),
        ("a\0b", ""),
    ],
)
def test_what_is_no_encoding_is_said(name: str, fix: str) -> None:
    with pytest.raises(CharreplError, match=r"is not a text encoding") as caught:
        encodings.codec(name)
    assert fix in str(caught.value)


@given(data=st.binary(min_size=1, max_size=12), size=st.integers(1, 7))
def test_a_bad_byte_is_where_decoding_it_all_at_once_finds_it(data: bytes, size: int) -> None:
    assume(file_signatures.kind(data) is None and not encodings.marked(data) and not encodings.wide(data))
    assume(not encodings.shifted(data))
    expected, text = "", ""
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        expected = f"file is not UTF-8 at byte {error.start}, "
    if b"\0" in data:
        offset = data.index(0)
        expected = f"offset {offset}"
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    try:
        read = "".join(text_files.decoded(chunks, Source(Path("file")), whole=True))
    except CharreplError as error:
        assert expected and expected in str(error)
    else:
        assert not expected
        assert read == io.StringIO(text, newline=None).read()


@given(text=st.text("aé€😀\n", max_size=8), cut=st.integers(0, 12))
def test_a_text_in_utf_8_is_read_wherever_it_was_cut(text: str, cut: int) -> None:
    """Either half has what characters are whole in it, if there are any to tell by that it is UTF-8."""
    data = f"é{text}é".encode()
    cut = min(cut, len(data) - 4) + 2
    for half in (data[:cut], data[cut:]):
        assert "".join(text_files.decoded([half], Source(Path("file")))) == half.decode("utf-8", "ignore")


def test_standard_input_is_waited_for_where_others_made_it_non_blocking() -> None:
    code = "from charrepl.files import text_files; print(len(text_files.read(text_files.STANDARD_INPUT)))"
    reading, writing = os.pipe()
    fcntl.fcntl(reading, fcntl.F_SETFL, fcntl.fcntl(reading, fcntl.F_GETFL) | os.O_NONBLOCK)
    with subprocess.Popen([sys.executable, "-c", code], stdin=reading, stdout=subprocess.PIPE) as process:
        os.close(reading)
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for _ in range(3):
                pipe.write(b"x" * 70_000)  # more than fits: it reads meanwhile
        assert process.communicate(timeout=60)[0] == b"210000\n"


@pytest.mark.parametrize(
    ("name", "encoding", "text"),
    [
        ("HZ", "hz", "他说：“今天的天气很好。”\nhello\n我们去吧。\n是的，好。\n"),
        ("UTF-7", "utf-7", "Été à la mer, où l’œuvre naît\nça va déjà\n"),
    ],
)
def test_shifted_text_that_is_plain_ascii_is_refused_by_its_name(tmp_path, name, encoding, text):
    file = tmp_path / "t.txt"
    file.write_bytes(text.encode(encoding))
    with pytest.raises(CharreplError, match=f"is {name}, not UTF-8: run iconv -f {name} "):
        text_files.read(file)
    assert "".join(text_files.pieces(file, encoding=encoding)) == text


@pytest.mark.parametrize(
    "text", ["a+bc + 1+11=12, C++ foo+bar-baz +1-800-555\n" * 9, "~{ab~} ~{cd~}\n" * 9, "if (~{x}) +AA+BB-\n"]
)
def test_plus_signs_and_tildes_are_no_shifts(tmp_path, text):
    file = tmp_path / "t.txt"
    file.write_text(text)
    assert text_files.read(file) == text

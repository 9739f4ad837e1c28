"""What terminals send: nothing of it is text but what is typed or pasted, wherever it is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prompt_toolkit.keys import Keys

from charrepl.terminal.escape_sequences import ESCAPE, PASTE, SEQUENCE, TEXT, EscapeSequences, Token
from charrepl.terminal.key_codes import keys_of

ST = ["\x1b\\", "\x9c", "\udc9c"]


def begun(char: str) -> st.SearchStrategy[str]:
    """An introducer, in seven bits or as a C1 control."""
    return st.sampled_from(["\x1b" + char, chr(ord(char) + 0x40), chr(ord(char) + 0xDC40)])


PARAMETERS = st.text(alphabet="0123456789:;<=>?", max_size=8)
CONTROL = st.builds(
    "{}{}{}{}".format,
    begun("["),
    PARAMETERS,
    st.text(alphabet=" !\"#$%&'()*+,-./", max_size=2),
    st.characters(min_codepoint=0x40, max_codepoint=0x7E),
).filter(lambda sequence: sequence[-1] not in "M[" or len(sequence) > 3)
SINGLE = st.builds(
    "{}{}".format,
    begun("O") | begun("N"),
    st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="0123456789;"),
)
STRING = st.builds(
    "{}{}{}".format,
    st.sampled_from("]PX^_").flatmap(begun),
    st.text(alphabet=st.sampled_from("\t\n 07;:?$rglx/é日"), min_size=1, max_size=30),
    st.sampled_from(ST),
)
OSC = st.builds("\x1b]{}\x07".format, st.text(alphabet="0123;rgb:/ff?", min_size=1, max_size=30))
MOUSE = st.builds("\x1b[M{}".format, st.text(alphabet=" !aé\udcc3~", min_size=3, max_size=3))
PASTED = st.text(alphabet="a\r\n\t\x1b[201~é/", max_size=20).filter(lambda text: "\x1b[20" not in text)
TYPED = st.text(alphabet="ab é日/\r", min_size=1, max_size=5)


def cut(whole: str, places: list[int]) -> list[str]:
    """A text, cut at places."""
    edges = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
    return [whole[a:b] for a, b in itertools.pairwise(edges)]


def read(parts: list[str]) -> list[Token]:
    """What is read of parts, texts joined as they come."""
    sequences, found = EscapeSequences(), list[Token]()
    for token in [token for part in parts for token in sequences.feed(part)]:
        if token.kind == TEXT and found and found[-1].kind == TEXT:
            token = Token(TEXT, found.pop().text + token.text)
        found.append(token)
    assert not sequences.unfinished
    return found


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(st.just(SEQUENCE), CONTROL | SINGLE | STRING | OSC | MOUSE)
        | st.tuples(st.just(TEXT), TYPED)
        | st.tuples(st.just(PASTE), PASTED),
        max_size=8,
    ),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_no_sequence_of_the_grammar_leaves_text_and_what_is_between_them_stays_whole(
    sent: list[tuple[str, str]], places: list[int]
) -> None:
    whole = "".join(f"\x1b[200~{text}\x1b[201~" if kind == PASTE else text for kind, text in sent)
    found = read(cut(whole, places))
    texts = "".join(text if kind == TEXT else f"<{text}>" for kind, text in sent if kind in (TEXT, PASTE))
    assert (
        "".join(t.text if t.kind == TEXT else f"<{t.text}>" for t in found if t.kind in (TEXT, PASTE))
        == texts
    )
    assert not [token for token in found if token.kind == ESCAPE]
    for token in found:
        keys_of(token.text)  # whatever it is


@pytest.mark.parametrize(
    "said",
    [
        "\x1b[I",
        "\x1b[O",
        "\x1b]11;rgb:1e1e/1e1e/1e1e\x1b\\",
        "\x1b]52;c;aGVsbG8=\x07",
        "\x1bP1$r0m\x1b\\",
        "\x1b[?1;2c",
        "\x1b[>41;370;0c",
        "\x1bP!|00000000\x1b\\",
        "\x1bP>|XTerm(370)\x1b\\",
        "\x1b[0n",
        "\x1b[24;80R",
        "\x1b[1;80R",
        "\x1b[?2004;1$y",
        "\x1b[8;24;80t",
        "\x1b]lmy title\x1b\\",
        "\x1b_Gi=1;OK\x1b\\",
        "\x1b[<0;10;5M",
        "\x1b[<0;10;5m",
        "\x1b[M !!",
        "\x1b[32;10;5M",
        "\x1b[?1u",
        "\x1b[97;1:3u",
        "\x1b[57441;2u",
        "\x1b[97;9u",
        "\x1b[E",
        "\x1b[201~",
        "\x1b[?997;1n",
        "\x1b[48;24;80;480;640t",
        "\x1b[999~",
        "\x1b[55555555555555555555u",
        "\x1b[55296u",
    ],
)
def test_what_the_terminal_says_is_no_key(said: str) -> None:
    assert [key for token in read(list(said)) for key in keys_of(token.text)] == []


ALT = Keys.Escape


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        ("\x1b[99;5u", (Keys.ControlC,)),
        ("\x1b[65;30;97;1;0;1_", ("a",)),
        ("\x1b[65;30;97;1_", ("a",)),
        ("\x1b[65;30;97;1;0;3_", ("a", "a", "a")),
        ("\x1b[65;30;97;0;0;1_", ()),  # it went up
        ("\x1b[16;42;0;1;16;1_", ()),  # Shift by itself
        ("\x1b[81;16;64;1;9;1_", ("@",)),  # AltGr-Q
        ("\x1b[66;48;98;1;2;1_", (Keys.Escape, "b")),
        ("\x1b[67;46;3;1;8;1_", (Keys.ControlC,)),
        ("\x1b[37;75;0;1;264;1_", (Keys.ControlLeft,)),
        ("\x1b[9;15;9;1;16;1_", (Keys.BackTab,)),
        ("\x1b[0;0;55357;1;0;1_", ()),
        ("\x1b[27;5;99~", (Keys.ControlC,)),
        ("\x1b[99:67;6u", (Keys.ControlC,)),
        ("\x1b[1089::99;5u", (Keys.ControlC,)),
        ("\x1b[99;69u", (Keys.ControlC,)),  # caps lock
        ("\x1b[97;5:1u", (Keys.ControlA,)),
        ("\x1b[97;5:2u", (Keys.ControlA,)),
        ("\x1b[102;3u", (ALT, "f")),
        ("\x1b[27;3;102~", (ALT, "f")),
        ("\x1b[13u", (Keys.Enter,)),
        ("\x1b[13;3u", (ALT, Keys.Enter)),
        ("\x1b[27u", (Keys.Escape,)),
        ("\x1b[9;2u", (Keys.BackTab,)),
        ("\x1b[27;2;9~", (Keys.BackTab,)),
        ("\x1b[127u", (Keys.Backspace,)),
        ("\x1b[127;3u", (ALT, Keys.Backspace)),
        ("\x1b[32;5u", (Keys.ControlSpace,)),
        ("\x1b[45:95;6u", (Keys.ControlUnderscore,)),
        ("\x1b[93;3u", (ALT, "]")),
        ("\x1b[97u", ("a",)),
        ("\x1b[97:65;2u", ("A",)),
        ("\x1b[97;2u", ("A",)),
        ("\x1b[233;1;233u", ("é",)),
        ("\x1b[0;;233:769u", ("é", "\u0301")),
        ("\x1b[57414u", (Keys.Enter,)),
        ("\x1b[57401u", ("2",)),
        ("\x1b[57417;5u", (Keys.ControlLeft,)),
        ("\x1b[57376u", (Keys.F13,)),
        ("\x1b[1;5:2C", (Keys.ControlRight,)),
        ("\x1b[1;3C", (ALT, Keys.Right)),
        ("\x1b[1;4A", (ALT, Keys.ShiftUp)),
        ("\x1b[1;9D", (ALT, Keys.Left)),
        ("\x1b[5C", (Keys.ControlRight,)),
        ("\x1b[3;5~", (Keys.ControlDelete,)),
        ("\x1b[3;1:1~", (Keys.Delete,)),
        ("\x1b[P", (Keys.F1,)),
        ("\x1b[1;2P", (Keys.F13,)),
        ("\x1b[15;5~", (Keys.ControlF5,)),
        ("\x1b[24~", (Keys.F12,)),
        ("\x1b[Z", (Keys.BackTab,)),
        ("\x1b[1;2Z", (Keys.BackTab,)),
        ("\x1b\t", (Keys.BackTab,)),
        ("\x1b[[A", (Keys.F1,)),
        ("\x1b[[E", (Keys.F5,)),
        ("\x1b[7^", (Keys.ControlHome,)),
        ("\x1b[8@", (Keys.ControlShiftEnd,)),
        ("\x1bOc", (Keys.ControlRight,)),
        ("\x1b[d", (Keys.ShiftLeft,)),
        ("\x1bOM", (Keys.Enter,)),
        ("\x1bOr", ("2",)),
        ("\x1bOA", (Keys.Up,)),
        ("\x1bO ", (" ",)),
        ("\x1bOX", ("=",)),
        ("\x1bO5P", (Keys.ControlF1,)),
        ("\x9b1;5A", (Keys.ControlUp,)),
        ("\x8fP", (Keys.F1,)),
    ],
)
def test_a_key_that_is_known_is_one_however_it_is_sent(sent: str, keys: tuple[str, ...]) -> None:
    for parts in ([sent], list(sent)):
        (token,) = read(parts)
        assert keys_of(token.text) == keys


@pytest.mark.parametrize(
    ("sent", "first", "later"),
    [
        ("\x1b", [Token(ESCAPE, "\x1b")], []),
        ("\x1b]", [Token(ESCAPE, "\x1b"), Token(TEXT, "]")], []),
        ("\x1b]\x1b]", [Token(ESCAPE, "\x1b"), Token(TEXT, "]")] * 2, []),
        ("\x1bO", [Token(ESCAPE, "\x1b"), Token(TEXT, "O")], []),
        ("\x1b\x1b[A", [Token(ESCAPE, "\x1b"), Token(SEQUENCE, "\x1b[A")], []),
        ("\x1b\r", [Token(ESCAPE, "\x1b"), Token(TEXT, "\r")], []),
        ("\x1b[7$", [Token(SEQUENCE, "\x1b[7$")], []),
        ("\x1b]and on", [], [Token(ESCAPE, "\x1b"), Token(TEXT, "]and on")]),  # Alt-] and typing, at once
        ("\x1b]11;rgb:ff", [], []),
        ("\x1bP1$r0", [], []),
        ("\x9dand", [], []),
        ("\x1b[38;5", [], []),
        ("\x1b[M!", [], []),
        ("\x1b[200~a\x1b[20", [], [Token(PASTE, "a")]),
        ("\x1b[200~a\x1b[200~b\x1b[201~", [Token(PASTE, "ab")], []),
    ],
)
def test_what_is_unfinished_is_decided_after_a_moment(
    sent: str, first: list[Token], later: list[Token]
) -> None:
    sequences = EscapeSequences()
    assert sequences.feed(sent) + sequences.flush() == first
    assert sequences.give_up() == later
    assert sequences.feed("x") == [Token(TEXT, "x")]


@pytest.mark.parametrize("begun", ["\x1b[12", "\x1b]11;", "\x1bP1$", "\x1bO5", "\x1b[M!"])
@pytest.mark.parametrize("key", ["\x03", "\x1b[A"])
def test_a_key_in_the_middle_of_a_sequence_ends_it(begun: str, key: str) -> None:
    sequences = EscapeSequences()
    assert sequences.feed(begun) == []
    assert sequences.feed(key) == [Token(TEXT if key == "\x03" else SEQUENCE, key)]


def test_what_is_no_utf8_is_one_sign_and_an_answer_of_megabytes_is_not_kept() -> None:
    sequences = EscapeSequences()
    assert sequences.feed("a\udcffb") == [Token(TEXT, "a\ufffdb")]
    sequences.feed("\x1b]52;c;")
    for _ in range(1000):
        assert sequences.feed("QUJD" * 1000) == []
    assert sequences.feed("\x1b\\x") == [Token(TEXT, "x")]

"""What a key takes of a ghost in a language that is written without spaces."""

from __future__ import annotations

import pytest
from hypothesis import given

from charrepl.ghost.state import next_char, next_word
from charrepl.text import graphemes
from charrepl.text.phrases import MOST
from tests.charrepl.grapheme_samples import FAMILY, FLAG, texts


def taken(ghost: str) -> list[str]:
    """A ghost, taken a word at a time."""
    words = []
    while ghost:
        words.append(next_word(ghost))
        ghost = ghost.removeprefix(words[-1])
    return words


@pytest.mark.parametrize(
    ("ghost", "words"),
    [
        ("学而时习之，不亦说乎？", ["学而时习之，", "不亦说乎？"]),
        ("私は昨日東京に行きました。", ["私は", "昨日東京に", "行きました。"]),
        ("他说：“你好，世界！”走了。", ["他说：", "“你好，", "世界！”", "走了。"]),
        ("用Python写程序", ["用", "Python", "写程序"]),
        ("བཀྲ་ཤིས་", ["བཀྲ་", "ཤིས་"]),
        ("…是吗\n再见\n", ["…是吗\n", "再见\n"]),
        ("안녕하세요 세계", ["안녕하세요 ", "세계"]),
        ("Hello world", ["Hello ", "world"]),
        ("l'été e\u0301te ", ["l'été ", "e\u0301te "]),
    ],
)
def test_a_word_or_phrase_is_taken_at_a_time(ghost: str, words: list[str]) -> None:
    assert taken(ghost) == words


@pytest.mark.parametrize(
    "line",
    [
        "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏",
        "ฉันรักประเทศไทยและภาษาไทยมาก",
        "ខ្ញុំស្រលាញ់ប្រទេសកម្ពុជាណាស់",
        "ຂ້ອຍຮັກປະເທດລາວຫຼາຍ",
    ],
)
def test_a_line_without_spaces_is_not_one_word(line: str) -> None:
    assert len(taken(line)) >= 2
    assert all(len(graphemes.clusters(word)) <= MOST for word in taken(line))


@given(texts)
def test_words_and_characters_are_whole_clusters_and_all_there_is(text: str) -> None:
    places = [0]
    for cluster in graphemes.clusters(text):
        places.append(places[-1] + len(cluster))
    assert "".join(taken(text)) == text
    assert len(next_word(text)) in places
    assert len(next_char(text)) in places[:2]


def test_one_character_is_one_as_people_see_it() -> None:
    assert next_char(FAMILY + "x") == FAMILY
    assert next_char(FLAG + FLAG) == FLAG
    assert next_char("\u0301x") == "\u0301"

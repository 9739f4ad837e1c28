"""What is left of chats: who says what."""

from __future__ import annotations

import json

import pytest

from charrepl_train.cleaning.lines import UNDECODABLE
from tests.charrepl_train.cleaning.cleaning import clean, counted

SAID = "Anna: Where are you?\nBen: Here\nand there.\nAnna: ok\n"


@pytest.mark.parametrize(
    "text",
    [
        "12/03/24, 12:03 - Messages are end-to-end encrypted. Nobody can read them.\n"
        "12/03/24, 12:03\u202fPM - Anna: Where are you?\n12/03/24, 12:04 - Ben: Here\nand there.\n"
        "12/03/24, 12:04 - Ben: <Media omitted>\n13.03.24, 09:00 - Anna: ok <This message was edited>\n",
        "[12/03/24, 12:03:45] Anna: \u200eMessages are end-to-end encrypted.\n"
        "[12/03/24, 12:03:45] Anna: Where are you?\n\u200e[12/03/24, 12:04:01 PM] Ben: Here\nand there.\n"
        "\u200e[12/03/24, 12:04:45] Ben: \u200eimage omitted\n[13/03/24, 09:00:00] \u202aAnna\u202c: ok\n",
        "Anna, [12.03.24 12:03]\nWhere are you?\nBen, [12.03.24 12:04]\nHere\nand there.\n"
        "Ben, [12.03.24 12:04]\n[ Photo ]\nAnna, [13.03.24 09:00]\nok\n".replace("[ Photo ]", "[Photo]"),
        "[2024-03-12, 12:03] Anna: Where are you?\n[2024-03-12, 12:04] Ben: Here\nand there.\n"
        "[2024-03-13, 09:00] Anna: ok\n",
        f"{'=' * 62}\nGuild: Friends\nChannel: general\n{'=' * 62}\n[12-Mar-24 12:03 PM] Anna#1234\n"
        "Where are you?\n[12-Mar-24 12:04 PM] Ben\nHere\nand there.\n[13-Mar-24 09:00 AM] Anna (pinned)\nok\n"
        f"{'=' * 62}\nExported 3 message(s)\n{'=' * 62}\n",
        "[00:24:53] *** Quits: eve (~e@x) (Remote host)\n[12:03:00] <Anna> Where are you?\n"
        "[12:04:00] <@Ben> Here\nand there.\n[12:05:00] * eve (e@x) has joined #x\n[12:06:00] <Anna> ok\n",
        "--- Log opened Tue Mar 12 2024\n12:03 < Anna> Where are you?\n12:04 <+Ben> Here\nand there.\n"
        "12:05 -!- eve [e@x] has joined #x\n--- Day changed Wed Mar 13 2024\n12:06 < Anna> ok\n",
        "2024-03-12 12:03:45\tAnna\tWhere are you?\n2024-03-12 12:04:45\t@Ben\tHere\nand there.\n"
        "2024-03-12 12:05:00\t-->\teve (e@x) has joined #x\n2024-03-12 12:06:00\tAnna\tok\n",
    ],
    ids=["Android", "iPhone", "Telegram", "Signal", "Discord", "ZNC", "irssi", "WeeChat"],
)
def test_who_says_what_is_left(text: str) -> None:
    assert clean(text, "chat") == SAID


def test_what_is_left_out_is_counted() -> None:
    text = "12/03/24, 12:03 - Ben joined\n12/03/24, 12:04 - Ben: <Media omitted>\n12/03/24, 12:05 - Ben: hi\n"
    assert counted(text, "chat") == {"time stamps": 3, "notices": 1, "placeholders of media": 1}


@pytest.mark.parametrize(
    "export",
    [
        {
            "name": "Ben",
            "messages": [
                {"type": "service", "actor": "Anna", "text": ""},
                {"type": "message", "from": "Anna", "text": ["See ", {"type": "link", "text": "x.org"}, "!"]},
                {"type": "message", "from": "Ben", "text": "ok"},
                {"type": "message", "from": "Ben", "photo": "a.jpg", "text": ""},
            ],
        },
        {
            "guild": {"name": "Friends"},
            "messages": [
                {"type": "GuildMemberJoin", "author": {"name": "eve"}, "content": "Joined."},
                {"type": "Default", "author": {"name": "a1", "nickname": "Anna"}, "content": "See x.org!"},
                {"type": "Reply", "author": {"name": "Ben"}, "content": "ok"},
                {"type": "Default", "author": {"name": "Ben"}, "content": ""},
            ],
        },
    ],
    ids=["Telegram", "Discord"],
)
def test_exports_in_json_are_read(export: dict) -> None:
    text = json.dumps(export, indent=1)
    assert clean(text, "chat") == "Anna: See x.org!\nBen: ok\n"
    assert counted(text, "chat") == {"time stamps": 4, "notices": 1, "placeholders of media": 1}


def test_bytes_that_are_no_text_do_not_end_the_reading_of_an_export() -> None:
    message = b'{"type": "message", "from": "Anna", "text": "a caf\xe9"}'
    export = (b'{"messages": [' + message + b"]}").decode("utf-8", "surrogateescape")
    assert clean(export, "chat") == "Anna: a caf\ufffd\n"


@pytest.mark.parametrize(
    "text",
    [
        "12:03 The train leaves.\nAnna: left already?\n",
        '{"messages": [1, 2]}\n',
        '{"messages": \n',
        f"Title\n{'=' * 30}\nText\n",
        "[1] A note: see 12:03.\n* one\n* two\n--- \n*** \n",
    ],
    ids=["a diary", "other JSON", "broken JSON", "a title", "notes"],
)
def test_a_text_that_is_no_chat_is_left_as_it_is(text: str) -> None:
    assert clean(text, "chat") == text


def test_each_line_may_have_its_encoding() -> None:
    lines = [b"[12:03] <anna> Gr\xc3\xbc\xc3\x9fe\xe2\x80\n", b"[12:04] <ben> Gr\xfc\xdfe\n"]
    text = b"".join(lines).decode("utf-8", UNDECODABLE)
    assert clean(text, "chat") == "anna: Grüße\nben: Grüße\n"


def test_what_people_do_and_say_of_coming_and_going_is_kept() -> None:
    assert clean("[12:03] * anna waves\n[12:04] Ben: joined the club!\n", "chat") == (
        "* anna waves\nBen: joined the club!\n"
    )

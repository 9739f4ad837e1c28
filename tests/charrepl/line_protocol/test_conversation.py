"""One answer for each text, in its order and its encoding."""

from __future__ import annotations

import asyncio

from charrepl.errors import CharreplError
from charrepl.line_protocol import frames
from charrepl.line_protocol.conversation import Conversation
from charrepl.line_protocol.settings import LineSettings
from charrepl.suggestions.request import SuggestionRequest, Suggestions


class Answering:
    """Answers with what it is told for a text, and once it is let; remembers what it was asked."""

    def __init__(self, **ghosts: str) -> None:
        self.ghosts = ghosts
        self.asked: list[SuggestionRequest] = []
        self.given_up = 0
        self.slow: dict[str, asyncio.Event] = {}

    async def suggest(self, request: SuggestionRequest, *, timeout_s: float) -> Suggestions:
        self.asked.append(request)
        try:
            if request.before in self.slow:
                await self.slow[request.before].wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        if request.before == "wrong":
            raise CharreplError("there is no model named 'x':\nchoose another")
        ghost = self.ghosts.get(request.before)
        return Suggestions((ghost,) if ghost else ())


async def converse(answering: Answering, *said: bytes, encoding: str = "utf-8") -> list[bytes]:
    """What comes back for frames that come all at once."""
    answers: list[bytes] = []
    rest = iter([b"".join(frame + b"\0" for frame in said), b""])

    async def read() -> bytes:
        return next(rest)

    async def answered(frame: bytes) -> None:
        answers.append(frame)

    settings = LineSettings(document="d", encoding=encoding)
    conversation = Conversation(answering.suggest, answered, settings=settings, within_s=9)
    await conversation.follow(frames.split(read))
    assert all(answer.endswith(b"\0") for answer in answers)
    return [answer[:-1] for answer in answers]


def test_each_text_has_an_answer_in_its_order() -> None:
    async def main() -> list[bytes]:
        answering = Answering(a="1", b="2")
        answering.slow["a"] = asyncio.Event()
        asyncio.get_running_loop().call_later(0.01, answering.slow["a"].set)
        return await converse(answering, b"a", b"b", b"", b"c", b"a")

    assert asyncio.run(main()) == [b"1", b"2", b"", b"", b"1"]


def test_an_empty_text_asks_nobody() -> None:
    answering = Answering()
    assert asyncio.run(converse(answering, b"")) == [b""]
    assert not answering.asked


def test_settings_have_no_answer_and_hold_for_the_texts_after_them() -> None:
    answering = Answering(a="1")
    assert asyncio.run(converse(answering, b"a", b"\x01host=zsh", b"a")) == [b"1", b"1"]
    assert [request.host for request in answering.asked] == ["", "zsh"]


def test_what_is_wrong_is_an_answer_of_one_line() -> None:
    said = [b"\x01lines=many", b"a", b"\x01lines=1", b"wrong", b"x" * (frames.MOST_BYTES + 1)]
    answers = asyncio.run(converse(Answering(a="1"), *said))
    assert [answer[:1] for answer in answers] == [frames.ERROR] * 3
    assert b"lines=many" in answers[0] and b"no model" in answers[1] and b"send its end" in answers[2]
    assert not any(b"\n" in answer for answer in answers)


def test_a_ghost_ends_where_its_readers_encoding_or_a_control_character_ends_it() -> None:
    answering = Answering(é="ä\u20ac", c="on\x1b[31m", n="a\tb\nc\0d")
    said = ["é".encode("latin-1"), b"c", b"n"]
    assert asyncio.run(converse(answering, *said, encoding="latin-1")) == [b"\xe4", b"on", b"a\tb\nc"]
    assert asyncio.run(converse(answering, "é".encode())) == ["ä\u20ac".encode()]


def test_who_cannot_be_answered_is_given_up() -> None:
    async def main() -> Answering:
        answering = Answering(a="1")
        answering.slow["b"] = asyncio.Event()
        rest = iter([b"a\0b\0"])

        async def read() -> bytes:
            try:
                return next(rest)
            except StopIteration:
                await asyncio.Event().wait()
                raise

        async def answered(frame: bytes) -> None:
            while len(answering.asked) < 2:
                await asyncio.sleep(0)
            raise BrokenPipeError

        conversation = Conversation(answering.suggest, answered, settings=LineSettings(), within_s=9)
        try:
            await conversation.follow(frames.split(read))
        except BrokenPipeError:
            return answering
        raise AssertionError

    assert asyncio.run(main()).given_up == 1

"""What a client sets, and what it is told of what it cannot set."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.line_protocol.settings import LineSettings


def test_every_setting_reaches_the_request() -> None:
    settings = LineSettings().changed(
        b"\x01host=zsh\x01document=d\x01model=kettle\x01assertiveness=bold\x01lines=3"
        b"\x01path=/a b\n\x01on_demand=yes"
    )
    request = settings.request("text")
    assert (request.host, request.document, request.model, request.before) == ("zsh", "d", "kettle", "text")
    assert (request.assertiveness, request.lines, request.on_demand) == ("bold", 3, True)
    assert request.path == Path("/a b\n")


def test_what_is_set_stays_until_it_is_set_to_nothing() -> None:
    settings = LineSettings().changed(b"\x01host=zsh\x01lines=3").changed(b"\x01lines=")
    assert (settings.host, settings.lines) == ("zsh", 1)


@pytest.mark.parametrize(
    "frame",
    [
        b"\x01",
        b"\x01host",
        b"\x01colour=red",
        b"\x01lines=0",
        b"\x01lines=41",
        b"\x01lines=999999999",
        b"\x01lines=\xd9\xa3",
        b"\x01assertiveness=loud",
        b"\x01path=here",
        b"\x01on_demand=1",
        b"\x01encoding=utf-16",
        b"\x01encoding=nonsense",
        b"\x01encoding=base64",
        b"\x01document=" + b"x" * 1001,
    ],
)
def test_what_cannot_be_set_is_said_in_one_line(frame: bytes) -> None:
    with pytest.raises(CharreplError) as refused:
        LineSettings().changed(frame)
    assert "\n" not in str(refused.value)

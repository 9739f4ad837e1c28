"""Ghosts are off by one word, everywhere or in one place."""

from __future__ import annotations

from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.suggestions import off_switch
from charrepl.suggestions.off_switch import OffSwitch


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_off_is_off_for_all_programs_until_on() -> None:
    here, there = OffSwitch(), OffSwitch()
    assert not there.why_off("vim")
    here.turn_off()
    assert there.why_off("vim") == "ghosts are off: charrepl on brings them back"
    there.turn_on()
    assert not here.why_off("vim")


def test_one_host_is_off_by_itself() -> None:
    switch = OffSwitch()
    switch.turn_off("vim")
    assert "in vim" in switch.why_off("vim") and not switch.why_off("zed") and not switch.why_off()
    switch.turn_on("zed")
    assert switch.why_off("vim")
    switch.turn_on()
    assert not switch.why_off("vim")


def test_an_hour_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    switch = OffSwitch()
    monkeypatch.setattr(off_switch.time, "time", lambda: 1_000_000.0)
    switch.turn_off(for_s=off_switch.seconds("1h"))
    assert "until 19" in switch.why_off("vim")
    monkeypatch.setattr(off_switch.time, "time", lambda: 1_003_601.0)
    assert not switch.why_off("vim")


def test_a_mark_is_off_for_its_directory_and_all_below(tmp_path: Path) -> None:
    below = tmp_path / "diary" / "2026"
    below.mkdir(parents=True)
    (tmp_path / "diary" / off_switch.MARK).touch()
    switch = OffSwitch()
    assert str(tmp_path / "diary") in switch.why_off("vim", below / "november.txt")
    assert not switch.why_off("vim", tmp_path / "letter.txt")


@pytest.mark.parametrize(("span", "expected"), [("30s", 30), ("90m", 5400), ("1h30m", 5400), ("2d", 172_800)])
def test_spans_of_time(span: str, expected: int) -> None:
    assert off_switch.seconds(span) == expected


@pytest.mark.parametrize("span", ["", "1", "h", "1y", "-1h", "0m", "1.5h", "٣h"])
def test_what_is_no_span_of_time_is_said(span: str) -> None:
    with pytest.raises(CharreplError, match=r"give 30m, 1h"):
        off_switch.seconds(span)


def test_a_damaged_file_is_no_switch(data: Path) -> None:
    data.mkdir()
    (data / "off.json").write_bytes(b'{"": "tomorrow\xff')
    switch = OffSwitch()
    assert not switch.why_off()
    switch.turn_off()
    assert switch.why_off()


def test_the_file_is_the_owners_alone(data: Path) -> None:
    OffSwitch().turn_off()
    assert (data / "off.json").stat().st_mode & 0o777 == 0o600


def test_where_it_cannot_be_written_the_reason_is_said(data: Path) -> None:
    data.write_text("a file")
    with pytest.raises(CharreplError, match=r"cannot write .*off\.json: .*CHARREPL_DATA_DIR"):
        OffSwitch().turn_off()

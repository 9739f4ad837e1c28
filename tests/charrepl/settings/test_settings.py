"""Settings: what config.toml may say, what goes before it, and how a mistake in it is named."""

from __future__ import annotations

import json
import textwrap
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from charrepl.cli import settings_listing
from charrepl.errors import CharreplError
from charrepl.settings import keymap, settings
from charrepl.settings.settings import Settings, effective, line_of, load, parse, with_value


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for kind in ("DATA", "CONFIG"):
        monkeypatch.setenv(f"CHARREPL_{kind}_DIR", str(tmp_path))
    return tmp_path / "config.toml"


EVERYTHING = """\
model = "tiny"
editing_mode = "vi"
assertiveness = "bold"
temperature = 0.8
adapt = false
escape_timeout_ms = 50
background = "light"
colors = "16"
plain = "never"

[keys]
take = "C-e"
take_word = ["alt-right", "Ctrl-_"]
kill-line = "Ctrl-R"
dismiss = []
"""


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path / "config.toml") == Settings()


def test_every_setting_can_be_set() -> None:
    parsed = parse(EVERYTHING.encode(), "config.toml")
    assert parsed == Settings(
        model="tiny",
        editing_mode="vi",
        assertiveness="bold",
        temperature=0.8,
        adapt=False,
        escape_timeout_ms=50,
        background="light",
        colors="16",
        plain="never",
        keys={
            "take": ("Ctrl-E",),
            "take_word": ("Alt-Right", "Ctrl-_"),
            "kill_line": ("Ctrl-R",),
            "dismiss": (),
        },
    )
    assert all(getattr(parsed, name) != getattr(Settings(), name) for name in settings.kinds())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (b'\n\nmodle = "x"', "c:3: unknown setting modle: did you mean model?"),
        (b"zzz = 1", "c:1: unknown setting zzz: the settings are model, editing_mode"),
        (b"[model]\nname = 1", "c:1: model = {'name': 1}: expected a string in quotes"),
        (b"# x\ntemperature = true", "c:2: temperature = true: expected a number"),
        (b"adapt = 0", "c:1: adapt = 0: expected true or false"),
        (b'adapt = "off"', 'c:1: adapt = "off": expected true or false'),
        (b"temperature = 11", "c:1: temperature = 11: expected 0 (greedy) to 10"),
        (b"temperature = nan", "c:1: temperature = nan: expected 0 (greedy) to 10"),
        (b"escape_timeout_ms = 0.5", "c:1: escape_timeout_ms = 0.5: expected a whole number"),
        (b'model = ""\nediting_mode = "vim"', 'c:2: editing_mode = "vim": expected "emacs" or "vi"'),
        (b'assertiveness = "loud"', 'c:1: assertiveness = "loud": expected "quiet", "normal" or "bold"'),
        (b"model = ", "c:1: not TOML: Invalid value: write NAME = VALUE"),
        (b"\nmodel = tiny  # x", 'c:2: tiny needs quotes: model = "tiny"'),
        (b'model = "a"\nmodel = "b"', "c:2: set twice: keep one of the two"),
        (b'\nmodel = "x', "c:2: not TOML: "),
        (b'\n\xff = "x"', "c:2: not UTF-8"),
        (b"keys = 1", "c:1: keys = 1: expected a table: [keys]"),
        (b'[keys]\nenter = "F2"\ntkae = "Tab"', "c:3: unknown action tkae: did you mean take?"),
        (b'[keys]\nzzz = "Tab"', "c:2: unknown action zzz: charrepl config lists them"),
        (b'[keys]\ntake = "Ctlr-E"', 'c:2: take = "Ctlr-E": no such key: did you mean Ctrl-E?'),
        (b'[keys]\ntake = "zzzzz"', 'c:2: take = "zzzzz": no such key: write it as Ctrl-E, Alt-Right'),
        (b"[keys]\ntake = 1", 'c:2: take = 1: expected a key, "Ctrl-E", or a list of keys'),
        (b'[keys]\ntake = "x"', 'c:2: take = "x": that is typed as text: put Ctrl- or Alt- before it'),
        (b'[keys]\ntake = "Alt-["', 'c:2: take = "Alt-[": that is how cursor keys begin: choose another'),
        (b'[keys]\ntake = "Ctrl-Enter"', 'c:2: take = "Ctrl-Enter": terminals do not tell that from Enter'),
        (b'[keys]\ntake = "Ctrl-1"', 'c:2: take = "Ctrl-1": terminals have no such key'),
        (
            b'[keys]\ntake = "Ctrl-I"\n\ntake_word = [\n  "Alt-F",\n  "Tab",\n]',
            "c:4: Tab is both take and take_word: give one of them another key",
        ),
        (b'[keys]\nenter = []', "c:2: no key is left to add a line: choose one"),
        (b'[keys]\nsuspend = "F2"\ntake="Enter"', "c:3: no key is left to add a line: choose one"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line_and_remedy(source: bytes, said: str) -> None:
    with pytest.raises(CharreplError) as error:
        parse(source, "c")
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("text", "place", "line"),
    [
        ('model = ""\n[keys]\nquit = "F1"\n', ("keys", "quit"), 3),
        ('keys.quit = "F1"\n', ("keys", "quit"), 1),
        ('# quit\nkeys = {take = "Tab", quit = "F1"}\n', ("keys", "quit"), 2),
        ('[keys]\n"quit" = [\n"F1",\n\n]\n', ("keys", "quit"), 2),
        ('[keys]\n# take\nundo = """\ntake = 1"""\n\ntake = 2', ("keys", "take"), 6),
    ],
)
def test_a_statement_is_found_however_it_is_written(text: str, place: tuple[str, ...], line: int) -> None:
    assert line_of(place, text) == line


def test_a_configuration_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(CharreplError, match=r"cannot read .*: Is a directory"):
        load(tmp_path)


def test_the_command_line_goes_before_the_environment_and_that_before_the_file(config: Path) -> None:
    config.write_text('model = "a"\nassertiveness = "quiet"\nediting_mode = "emacs"\n')
    environ = {"CHARREPL_MODEL": "b", "CHARREPL_ASSERTIVENESS": "bold", "CHARREPL_TEMPERATURE": "0.5"}
    found = effective({"model": "c", "editing_mode": ""}, environ=environ)
    assert found.settings == Settings(model="c", assertiveness="bold", temperature=0.5)
    assert found.sources == {
        "model": "command line",
        "assertiveness": "CHARREPL_ASSERTIVENESS",
        "editing_mode": "config.toml",
        "temperature": "CHARREPL_TEMPERATURE",
    }
    with pytest.raises(CharreplError, match="CHARREPL_TEMPERATURE=warm: expected a number"):
        effective(environ={"CHARREPL_TEMPERATURE": "warm"})


def test_what_is_printed_says_where_it_is_from_and_gives_the_same_settings(config: Path) -> None:
    config.write_text(EVERYTHING)
    printed = settings_listing.as_toml(effective({"model": 'x"\\é'}, environ={"CHARREPL_COLORS": "256"}))
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    for line in (
        r'model = "x\"\\é" # command line; a name or a directory',
        'editing_mode = "vi" # config.toml, line 2; "emacs" or "vi"',
        'colors = "256" # environment, CHARREPL_COLORS; ',
        'stop_writing = ["Esc", "Ctrl-C"] # default; stop it',
        'take_word = ["Alt-Right", "Ctrl-_"] # config.toml, line 13; take its next word',
        "search = [] # default without Ctrl-R; search",
    ):
        assert [found for found in lines if found.startswith(line)], line
    again = parse(printed.encode(), "again")
    expected = replace(load(config), model='x"\\é', colors="256")
    assert replace(again, keys={}) == replace(expected, keys={})
    assert keymap.effective(again.keys) == keymap.effective(expected.keys)


def test_the_defaults_printed_are_the_defaults(config: Path) -> None:
    printed = settings_listing.as_toml(effective(environ={}))
    assert "which is not there yet" in printed
    again = parse(printed.encode(), "again")
    assert keymap.effective(again.keys) == keymap.effective({})
    assert replace(again, keys={}) == Settings()
    as_json = json.loads(json.dumps(settings_listing.as_json(effective(environ={}))))
    assert as_json["sources"]["model"] == "default"
    assert tomllib.loads(printed)["plain"] == as_json["settings"]["plain"]


def test_the_guide_shows_every_setting_with_its_default() -> None:
    guide = (Path(__file__).parents[3] / "docs/guide/settings.md").read_text()
    example = guide[guide.index('    model = ""') : guide.index("A key that you give")]
    parsed = parse(textwrap.dedent(example).encode(), "settings.md")
    assert [name for name in settings.kinds() if f"\n    {name} = " not in f"\n{example}"] == []
    assert replace(parsed, keys={}) == Settings()
    assert all(settings.does(name) for name in settings.kinds())


@given(st.text(max_size=12))
def test_any_string_is_a_key_or_a_reason(key: str) -> None:
    try:
        found = keymap.canonical(key)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert keymap.canonical(found) == found


def test_a_switch_is_typed_as_a_person_would() -> None:
    assert with_value(Settings(), "adapt", "off") == with_value(Settings(), "adapt", "false")
    assert not with_value(Settings(), "adapt", "off").adapt
    assert with_value(Settings(adapt=False), "adapt", "on") == Settings()
    with pytest.raises(CharreplError, match="adapt 0: expected true or false"):
        with_value(Settings(), "adapt", "0")

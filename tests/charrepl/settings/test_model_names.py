"""Finding models: what a name means, and what a broken or unfinished model may not do."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl.settings import last_opened_model, model_names

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Makes the files of a model by which it is found."""
    monkeypatch.setenv("CHARREPL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CHARREPL_CONFIG_DIR", str(tmp_path))

    def make(
        name: str, *, finished: bool = True, config: str = "", trained_at: float = 0.0, run: str = ""
    ) -> Path:
        directory = tmp_path / "models" / name
        (directory / "checkpoints").mkdir(parents=True)
        (directory / "config.toml").write_text(config)
        (directory / "vocab.json").write_text('{"characters": ["a", "b"]}')
        (directory / "run.json").write_text(run or '{"finished": true}')
        os.utime(directory / "run.json", (trained_at, trained_at))
        if finished:
            (directory / "checkpoints" / "best-00000001").mkdir()
        return directory

    return make


@pytest.mark.parametrize("name", ["run.json", "vocab.json", "metrics.jsonl"])
def test_a_pipe_in_place_of_a_models_file_keeps_nobody_waiting(make: Make, name: str) -> None:
    path = make("model") / name
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    assert model_names.default() == path.parent
    if name == "vocab.json":
        with pytest.raises(CharreplError, match="not a file"):
            model_names.info(path.parent)
    else:
        assert model_names.info(path.parent).characters == 2


def test_the_default_is_the_last_one_trained_else_the_bundled_one(make: Make) -> None:
    assert model_names.default() == model_names.bundled_dir()
    newer = make("newer", trained_at=2e9)
    make("older", trained_at=1e9)
    make("unfinished", trained_at=3e9, finished=False)
    assert model_names.default() == model_names.find() == newer


def test_the_default_was_trained_to_its_end_once(make: Make) -> None:
    trained = make("trained", trained_at=1e9)
    make("interrupted", trained_at=2e9, run='{"finished": false}')
    make("damaged", trained_at=3e9, run='{"finish')
    assert model_names.default() == trained
    further = make("further", trained_at=4e9, run='{"finished": false, "completed_at": 1.5e9}')
    assert model_names.default() == further
    newer = make("newer", trained_at=1e9, run='{"finished": true, "completed_at": 1.6e9}')
    assert model_names.default() == newer
    (trained / "run.json").unlink()  # made elsewhere, and copied
    assert model_names.default(passed_over={newer, further}) == trained
    assert model_names.default(passed_over={newer, further, trained}) == model_names.bundled_dir()


def test_another_default_is_announced_once_with_the_command_that_goes_back(make: Make) -> None:
    assert last_opened_model.announcement(model_names.BUNDLED) == ""
    make("lamp")
    assert (
        last_opened_model.announcement("lamp")
        == "charrepl opens lamp now, trained last: /model shakespeare goes back"
    )
    assert last_opened_model.announcement("lamp") == ""
    kettle = make("kettle")
    assert last_opened_model.announcement("kettle").endswith("/model lamp goes back")
    shutil.rmtree(kettle)
    assert last_opened_model.announcement("lamp").endswith("/model shakespeare goes back")
    assert last_opened_model.announcement(model_names.BUNDLED).endswith("/model lamp goes back")


def test_an_unfinished_model_does_not_hide_the_bundled_one(make: Make) -> None:
    make(model_names.BUNDLED, finished=False)
    assert model_names.find(model_names.BUNDLED) == model_names.bundled_dir()


def test_a_finished_model_hides_the_bundled_one(make: Make) -> None:
    own = make(model_names.BUNDLED)
    assert model_names.find(model_names.BUNDLED) == own
    assert model_names.installed() == [own]


def test_an_unfinished_model_is_said_to_be_that(make: Make) -> None:
    make("lamp", finished=False)
    with pytest.raises(CharreplError, match="lamp has no checkpoint yet: let its training reach"):
        model_names.find("lamp")


@pytest.mark.parametrize("name", ["nobody", "漢" * 80])
def test_a_name_nobody_has_is_answered_with_those_there_are(make: Make, name: str) -> None:
    make("lamp")
    with pytest.raises(CharreplError, match="choose one of lamp, shakespeare"):
        model_names.find(name)


@pytest.mark.parametrize("name", ["", "a b", "../x", "x\n", "-x", ".x", "\u0301x", "x\u200e"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(CharreplError, match="cannot be a model's name"):
        model_names.check_name(name)


@pytest.mark.parametrize("name", ["x" * 101, "漢" * 81])
def test_a_name_that_file_systems_have_no_room_for_is_refused(name: str) -> None:
    with pytest.raises(CharreplError, match="is too long for a model's name: 100 characters at most"):
        model_names.check_name(name)


@pytest.mark.parametrize(
    ("config", "shape"),
    [("", (3, 512)), ("[model]\nlayers = 1", (1, 512)), ("[model]\nhidden_size = 8", (3, 8))],
)
def test_what_a_configuration_leaves_out_is_as_in_training(
    make: Make, config: str, shape: tuple[int, int]
) -> None:
    found = model_names.info(make("lamp", config=config))
    assert (found.layers, found.hidden_size, found.characters) == (*shape, 2)


@pytest.mark.parametrize(
    "config", ["model = 3", '[model]\nlayers = "two"', "[model]\nlayers = true", "[model\n", "\x00"]
)
def test_a_broken_model_is_a_charrepl_error(make: Make, config: str) -> None:
    with pytest.raises(CharreplError, match=r"lamp is not a charrepl model .*: train it again"):
        model_names.info(make("lamp", config=config))


@pytest.mark.parametrize("vocabulary", ["", "[]", "{}", '{"characters": 3}', "\udcff", "[" * 100_000])
def test_a_broken_vocabulary_is_a_charrepl_error(make: Make, vocabulary: str) -> None:
    directory = make("lamp")
    (directory / "vocab.json").write_bytes(vocabulary.encode("utf-8", "surrogateescape"))
    with pytest.raises(CharreplError, match="lamp is not a charrepl model"):
        model_names.info(directory)


def test_the_model_is_the_one_asked_for_else_the_one_configured(make: Make, tmp_path: Path) -> None:
    assert model_names.chosen() == ""
    (tmp_path / "config.toml").write_text('model = "tiny"')
    assert model_names.chosen() == "tiny"
    assert model_names.chosen("lamp") == "lamp"
    assert model_names.chosen("./lamp") == str(Path.cwd() / "lamp")


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("हिन्दी", "हिन्दी"),
        ("ภาษาไทยที่รัก", "ภาษาไทยที่รัก"),
        ("cafe\u0301 noir", "caf\u00e9-noir"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("q\u0323ayin", "q\u0323ayin"),
        ("my notes (final)", "my-notes-final"),
        ("👨\u200d👩 us", "us"),
        ("\u0301x", "x"),
        (".hidden", "hidden"),
        ("...", "model"),
        ("n" * 300, "n" * 100),
        ("हि" * 100, "हि" * 40),
    ],
)
def test_a_name_made_from_a_file_keeps_its_letters_and_their_marks(stem: str, name: str) -> None:
    assert model_names.named_after(stem) == name
    assert model_names.check_name(name) == name


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("stored", ["NFC", "NFD"])
def test_a_model_is_found_by_its_name_composed_and_decomposed(make: Make, form: str, stored: str) -> None:
    own = make(unicodedata.normalize(stored, "été"))
    assert model_names.find(unicodedata.normalize(form, "été")) == own
    assert own in model_names.installed()

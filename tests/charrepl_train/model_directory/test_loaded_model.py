"""Models read from disk: their best weights and name, and what is said when they are not whole."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from charrepl.errors import CharreplError
from charrepl_train.model_directory import checkpoint, loaded_model
from tests.charrepl_train.model_directory.test_checkpoint import equal


@pytest.fixture
def copy(trained, tmp_path: Path) -> Path:
    return shutil.copytree(trained.directory, tmp_path / "copy")


def test_a_model_is_served_with_its_best_weights(trained, copy: Path) -> None:
    model = loaded_model.load(copy)
    assert model.config == trained.config
    assert model.vocabulary == trained.vocabulary
    step, best = checkpoint.load(copy, "best", trained.state["params"])
    assert model.step == step
    equal(model.params, best)


def test_the_digest_names_exactly_these_files(trained, copy: Path) -> None:
    before = loaded_model.load(copy).digest
    assert loaded_model.load(trained.directory).digest == before
    (copy / "metrics.jsonl").write_text("")
    assert loaded_model.load(copy).digest == loaded_model.digest(copy, best(copy)) == before
    (copy / "vocab.json").write_text('{"characters": "ab"}')
    assert loaded_model.digest(copy, best(copy)) != before


@pytest.mark.parametrize("late", [False, True], ids=["while reading", "before naming"])
@pytest.mark.parametrize("same_step", [False, True])
def test_a_model_that_training_replaces_is_read_as_it_is_after(
    trained, copy: Path, monkeypatch: pytest.MonkeyPatch, late: bool, same_step: bool
) -> None:
    step = loaded_model.load(copy).step
    newer = jax.tree.map(lambda w: w + 1, trained.state["params"])
    place = "digest" if late else "_check_whole"
    module = loaded_model if late else checkpoint
    original = getattr(module, place)

    def replaced_first(*arguments: Path) -> str | None:
        monkeypatch.setattr(module, place, original)
        checkpoint.save(copy, "best", step if same_step else step + 1, newer)
        return original(*arguments)

    monkeypatch.setattr(module, place, replaced_first)
    model = loaded_model.load(copy)
    assert model.step == (step if same_step else step + 1)
    equal(model.params, newer)
    assert model.digest == loaded_model.digest(copy, best(copy))


def best(copy: Path) -> Path:
    return next((copy / "checkpoints").glob("best-*"))


def biggest(copy: Path) -> Path:
    return max((p for p in best(copy).rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def empty(path: Path) -> None:
    shutil.rmtree(path)
    path.mkdir()


DAMAGED = r"is damaged or not a charrepl checkpoint \(.*\): copy or train the model again"


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda copy: truncate(biggest(copy)), DAMAGED),
        (lambda copy: biggest(copy).unlink(), DAMAGED),
        (lambda copy: biggest(copy).write_bytes(b""), DAMAGED),
        (lambda copy: (best(copy) / "state" / "_METADATA").unlink(), DAMAGED),
        (lambda copy: truncate(best(copy) / "state" / "_METADATA"), DAMAGED),
        (lambda copy: (best(copy) / "state" / "manifest.ocdbt").unlink(), DAMAGED),
        (lambda copy: truncate(best(copy) / "sizes.json"), DAMAGED),
        (lambda copy: shutil.rmtree(best(copy) / "state"), DAMAGED),
        (lambda copy: empty(best(copy)), DAMAGED),
        (lambda copy: empty(copy / "checkpoints"), "has no best checkpoint: train it first"),
        (lambda copy: empty(copy), r"cannot read .*config\.toml: No such file"),
        (lambda copy: (copy / "vocab.json").unlink(), r"cannot read .*vocab\.json: No such file"),
        (lambda copy: truncate(copy / "vocab.json"), r"vocab\.json is not a vocabulary"),
        (lambda copy: (copy / "config.toml").write_text("[model]\nlay"), r"config\.toml is not TOML"),
        (lambda copy: shutil.rmtree(copy), "there is no model at .*: charrepl models lists"),
        (
            lambda copy: replace(copy / "config.toml", "hidden_size = 24", "hidden_size = 25"),
            r"does not fit its config.toml and vocab.json \(layers.0.b is \(96,\), expected \(100,\)\)",
        ),
        (lambda copy: replace(copy / "config.toml", "layers = 1", "layers = 2"), "does not fit .* is None"),
        (lambda copy: replace(copy / "vocab.json", "A", "AÄ"), "does not fit its config.toml and vocab.json"),
    ],
)
def test_a_model_that_is_not_whole_is_one_line(
    copy: Path,
    damage: Callable[[Path], None],
    complaint: str,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    damage(copy)
    with pytest.raises(CharreplError, match=complaint) as raised:
        loaded_model.load(copy)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    del raised
    gc.collect()  # asyncio would now report tasks that failed unseen
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_a_checkpoint_without_sizes_is_left_to_orbax(trained, copy: Path) -> None:
    (best(copy) / "sizes.json").unlink()
    equal(loaded_model.load(copy).params, loaded_model.load(trained.directory).params)
    shutil.rmtree(best(copy) / "state")
    with pytest.raises(CharreplError, match=DAMAGED):
        loaded_model.load(copy)


def test_another_program_s_checkpoint_is_not_ours(copy: Path) -> None:
    found = best(copy)
    shutil.rmtree(found)
    checkpoint.save(copy, "best", 5, {"weights": jnp.ones(3)})
    with pytest.raises(CharreplError, match="does not fit"):
        loaded_model.load(copy)

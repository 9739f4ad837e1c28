"""Models on disk: kept, replaced, and what is said when they are not whole."""

from __future__ import annotations

import errno
import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from charrepl.errors import CharreplError
from charrepl_train.run import checkpoint


def tree(seed: int, size: int = 3) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "params": {"w": jnp.asarray(rng.normal(size=(size, 4)), jnp.float32)},
        "optimiser": (
            optax.EmptyState(),
            optax.TraceState(trace={"w": jnp.full((size, 4), seed, jnp.float32)}),
        ),
        "pair": (jnp.asarray(rng.normal(size=size), jnp.bfloat16), jnp.int32(seed)),
        "best": jnp.float32(jnp.inf),
    }


def equal(a: object, b: object) -> None:
    jax.tree.map(np.testing.assert_array_equal, a, b)
    assert jax.tree.map(lambda x: x.dtype, a) == jax.tree.map(lambda x: x.dtype, b)


def test_what_is_saved_is_loaded_to_the_bit(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "latest", 7, tree(1))
    checkpoint.save(tmp_path, "best", 3, tree(2))
    for kind, step, seed in (("latest", 7, 1), ("best", 3, 2)):
        found, loaded = checkpoint.load(tmp_path, kind, tree(0))
        assert found == step
        equal(loaded, tree(seed))


def test_a_newer_checkpoint_takes_the_place_of_the_older(tmp_path: Path) -> None:
    assert not checkpoint.exists(tmp_path, "latest")
    for step in (9, 10, 100_000_000):  # the last is wider than the names are padded to
        checkpoint.save(tmp_path, "latest", step, tree(step))
        assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == [f"latest-{step:08d}"]
        assert checkpoint.load(tmp_path, "latest", tree(0))[0] == step
    checkpoint.save(tmp_path, "latest", 100_000_000, tree(5))  # the same step again
    equal(checkpoint.load(tmp_path, "latest", tree(0))[1], tree(5))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["latest-100000000"]


def test_the_same_step_is_saved_again_without_losing_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint.save(tmp_path, "best", 7, tree(1))

    def fail(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "_seal", fail)
    with pytest.raises(CharreplError, match="No space left on device; the checkpoint before it is untouched"):
        checkpoint.save(tmp_path, "best", 7, tree(2))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["best-00000007"]
    equal(checkpoint.load(tmp_path, "best", tree(0))[1], tree(1))


def test_a_save_that_was_killed_is_ignored_and_later_replaced(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "latest", 1, tree(1))
    folder = tmp_path / "checkpoints"
    for leftover in ("2.new", "2.new.orbax-checkpoint-tmp", "1.old"):
        shutil.copytree(folder / "latest-00000001", folder / f"latest-0000000{leftover}")
    assert checkpoint.load(tmp_path, "latest", tree(0))[0] == 1
    checkpoint.save(tmp_path, "latest", 2, tree(2))
    assert [p.name for p in folder.iterdir()] == ["latest-00000002"]
    equal(checkpoint.load(tmp_path, "latest", tree(0))[1], tree(2))


def test_what_others_keep_beside_the_checkpoints_stays(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "best", 1, tree(1))
    folder = tmp_path / "checkpoints"
    own = [
        "best-of-all",
        "best-00000001-copy",
        "best-00000002.new-idea",
        "best-1",
        "best-00000001.older",
        "best-x",
    ]
    for name in own:
        shutil.copytree(folder / "best-00000001", folder / name)
    notes = folder / "best-00000001" / "d" / "notes.txt"  # within one that is replaced
    notes.parent.mkdir(exist_ok=True)
    notes.write_text("mine")
    (tmp_path / "vocab.json.new").write_text("mine")
    checkpoint.replace_file(tmp_path / "vocab.json", b"ours")
    for step in (2, 3):
        checkpoint.save(tmp_path, "best", step, tree(step))
    own.append("best-00000001-notes.txt")
    assert sorted(path.name for path in folder.iterdir()) == sorted(["best-00000003", *own])
    assert (folder / own[-1]).read_text() == "mine"
    assert (tmp_path / "vocab.json.new").read_text() == "mine"
    assert checkpoint.load(tmp_path, "best", tree(0))[0] == 3


def test_a_failed_save_leaves_the_one_before_it(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, "latest", 1, tree(1))
    # In a process of its own: Orbax's threads go on complaining for a while.
    code = f"""if True:
        import resource, pathlib
        import jax.numpy as jnp, numpy as np
        from charrepl_train.run import checkpoint
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
        w = jnp.asarray(np.random.default_rng(0).normal(size=100_000))
        checkpoint.save(pathlib.Path({str(tmp_path)!r}), "latest", 2, {{"w": w}})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"could not save {tmp_path}/checkpoints/latest-00000002: File too large; the checkp" in done.stderr
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["latest-00000001"]
    equal(checkpoint.load(tmp_path, "latest", tree(0))[1], tree(1))


@pytest.fixture
def copy(trained, tmp_path: Path) -> Path:
    return shutil.copytree(trained.directory, tmp_path / "copy")


def test_a_model_is_served_with_its_best_weights(trained, copy: Path) -> None:
    model = checkpoint.load_model(copy)
    assert model.config == trained.config
    assert model.vocabulary == trained.vocabulary
    step, best = checkpoint.load(copy, "best", trained.state["params"])
    assert model.step == step
    equal(model.params, best)


def test_the_digest_names_exactly_these_files(trained, copy: Path) -> None:
    before = checkpoint.load_model(copy).digest
    assert checkpoint.load_model(trained.directory).digest == before
    (copy / "metrics.jsonl").write_text("")
    assert checkpoint.load_model(copy).digest == checkpoint.digest(copy, best(copy)) == before
    (copy / "vocab.json").write_text('{"characters": "ab"}')
    assert checkpoint.digest(copy, best(copy)) != before


@pytest.mark.parametrize("late", [False, True], ids=["while reading", "before naming"])
@pytest.mark.parametrize("same_step", [False, True])
def test_a_model_that_training_replaces_is_read_as_it_is_after(
    trained, copy: Path, monkeypatch: pytest.MonkeyPatch, late: bool, same_step: bool
) -> None:
    step = checkpoint.load_model(copy).step
    newer = jax.tree.map(lambda w: w + 1, trained.state["params"])
    place = "digest" if late else "_check_whole"
    original = getattr(checkpoint, place)

    def replaced_first(*arguments: Path) -> str | None:
        monkeypatch.setattr(checkpoint, place, original)
        checkpoint.save(copy, "best", step if same_step else step + 1, newer)
        return original(*arguments)

    monkeypatch.setattr(checkpoint, place, replaced_first)
    model = checkpoint.load_model(copy)
    assert model.step == (step if same_step else step + 1)
    equal(model.params, newer)
    assert model.digest == checkpoint.digest(copy, best(copy))


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
        checkpoint.load_model(copy)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600
    del raised
    gc.collect()  # asyncio would now report tasks that failed unseen
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_a_checkpoint_without_sizes_is_left_to_orbax(trained, copy: Path) -> None:
    (best(copy) / "sizes.json").unlink()
    equal(checkpoint.load_model(copy).params, checkpoint.load_model(trained.directory).params)
    shutil.rmtree(best(copy) / "state")
    with pytest.raises(CharreplError, match=DAMAGED):
        checkpoint.load_model(copy)


def test_another_program_s_checkpoint_is_not_ours(copy: Path) -> None:
    found = best(copy)
    shutil.rmtree(found)
    checkpoint.save(copy, "best", 5, {"weights": jnp.ones(3)})
    with pytest.raises(CharreplError, match="does not fit"):
        checkpoint.load_model(copy)

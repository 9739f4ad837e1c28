"""Checkpoints: kept, replaced, and what is left when one cannot be written."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from charrepl.errors import CharreplError
from charrepl.files import whole_file
from charrepl_train.model_directory import checkpoint


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
    whole_file.write(tmp_path / "vocab.json", b"ours")
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
        from charrepl_train.model_directory import checkpoint
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
        w = jnp.asarray(np.random.default_rng(0).normal(size=100_000))
        checkpoint.save(pathlib.Path({str(tmp_path)!r}), "latest", 2, {{"w": w}})"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"could not save {tmp_path}/checkpoints/latest-00000002: File too large; the checkp" in done.stderr
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["latest-00000001"]
    equal(checkpoint.load(tmp_path, "latest", tree(0))[1], tree(1))

"""A model made small to pass on."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

from charrepl_train.bundle import bundle, main
from charrepl_train.model_directory import loaded_model


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob("checkpoints/best-*/**/*") if path.is_file())


def test_a_bundle_is_smaller_and_computes_nearly_the_same(trained, tmp_path: Path, reference) -> None:
    target = tmp_path / "small"
    assert bundle(trained.directory, target) == sum(
        p.stat().st_size for p in target.rglob("*") if p.is_file()
    )
    assert sorted(path.name for path in target.iterdir()) == [
        "checkpoints",
        "config.toml",
        "metrics.jsonl",
        "vocab.json",
    ]
    assert size(target) < 0.8 * size(trained.directory)
    whole, small = loaded_model.load(trained.directory), loaded_model.load(target)
    assert small.step == whole.step
    assert small.digest != whole.digest
    rounded = jax.tree.map(lambda w: np.asarray(jnp.asarray(w, jnp.bfloat16), np.float32), whole.params)
    jax.tree.map(np.testing.assert_array_equal, small.params, rounded)
    tokens = whole.vocabulary.encode("The lamp ")[None]
    logits = [reference(model.params, tokens)[1] for model in (whole, small)]
    np.testing.assert_allclose(logits[0], logits[1], atol=0.15)


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (["/none", "/x"], 1, "Error: there is no model at /none: charrepl models lists those there are"),
        (["/none", "/"], 1, "Error: / exists: remove it or choose another place"),
        (["/none"], 2, "Error: Missing argument 'NEW_DIR'."),
    ],
)
def test_a_wrong_argument_is_one_line(arguments: list[str], code: int, complaint: str) -> None:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == code
    assert result.stderr.splitlines()[-1] == complaint
    assert result.stderr.startswith("Usage: ") == (code == 2)

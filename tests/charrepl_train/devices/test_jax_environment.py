"""What a user's environment has for JAX and XLA: it changes no number, and a mistake in it is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from charrepl.errors import CharreplError
from charrepl_train.devices import jax_setup, xla_flags
from tests.charrepl_train.command import commands, finish

REPORT = """
from charrepl_train.devices import jax_setup
jax_setup.prepare(cache=False)
import jax, jax.numpy as jnp
x = jnp.linspace(0, 1, 64).reshape(8, 8)
print(x.dtype, jax.config.jax_enable_x64, jax.config.jax_compilation_cache_dir, jax.device_count())
print(jax.jit(lambda x: x @ x)(x).tolist(), jax.random.normal(jax.random.key(1), 4).tolist())
print((x * jnp.arange(8)).sum(), jnp.array([jnp.nan]) + 1)
"""
HOSTILE = {
    "FLAX_MAX_REPR_DEPTH": "x",
    "JAX_CHECK_TRACER_LEAKS": "1",
    "JAX_COMPILATION_CACHE_DIR": "/nowhere/at/all",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEFAULT_DTYPE_BITS": "32",
    "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
    "JAX_DEFAULT_PRNG_IMPL": "rbg",
    "JAX_DISABLE_JIT": "maybe",
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_RANDOM_SEED_OFFSET": "7",
    "JAX_THREEFRY_PARTITIONABLE": "0",
    "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
}


def numbers(**environment: str) -> str:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_FLAGS"))}
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        env={**plain, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_numbers_are_the_same_whatever_the_environment_asks_for() -> None:
    assert numbers(**HOSTILE) == numbers()


def test_devices_and_what_is_said_of_them_are_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = {
        "JAX_CUDA_VISIBLE_DEVICES": "1",
        "JAX_COORDINATOR_ADDRESS": "a:1",
        "JAX_LOG_COMPILES": "1",
        "JAX_NUM_CPU_DEVICES": "3",
        "JAX_PLATFORMS": "cpu",
        "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.5",
    }
    for name, value in {**theirs, **HOSTILE}.items():
        monkeypatch.setenv(name, value)
    jax_setup.leave_out_numbers()
    left = {name for name in os.environ if name.startswith(("JAX_", "FLAX_", "XLA_PYTHON_CLIENT_MEM"))}
    assert left == theirs.keys()


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ("--nonsense", "Unknown flag in XLA_FLAGS: --nonsense"),
        ("--xla_force_host_platform_device_count=x", "Couldn't interpret value x"),
        ("nonsense", "Could not open file"),
        ("--xla_force_host_platform_device_count=-1", "ValueError: "),
    ],
)
def test_flags_that_xla_would_abort_on_are_one_line(
    monkeypatch: pytest.MonkeyPatch, flags: str, why: str
) -> None:
    monkeypatch.setenv("XLA_FLAGS", flags)
    with pytest.raises(CharreplError) as refused:
        xla_flags.settle()
    assert str(refused.value).startswith(f"XLA cannot read XLA_FLAGS={flags} ({why}")
    assert str(refused.value).endswith("): correct it, or unset it")


def test_a_file_of_flags_without_an_end_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "flags")
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags"))
    monkeypatch.setattr(xla_flags, "_TIMEOUT_S", 0.1)
    with pytest.raises(CharreplError, match=r"it was not done after 0\.1 s\): correct it, or unset it$"):
        xla_flags.settle()


def test_flags_that_xla_knows_are_the_users_but_for_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    given = "--xla_cpu_enable_fast_math=true --xla_force_host_platform_device_count=2"
    monkeypatch.setenv("XLA_FLAGS", given)
    xla_flags.settle()
    xla_flags.settle()
    assert os.environ["XLA_FLAGS"] == f"{given} --xla_cpu_enable_fast_math=false"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("JAX_PLATFORMS", "nonsense", "JAX found no device (Unable to initialize backend 'nonsense'"),
        ("JAX_PLATFORMS", "cuda", "JAX found no device ("),
        ("JAX_LOGGING_LEVEL", "bogus", "JAX cannot be imported ("),
        ("XLA_FLAGS", "--nonsense", "XLA cannot read "),
    ],
)
def test_a_mistake_in_the_environment_ends_training_in_one_line_that_names_it(
    variable: str, value: str, said: str, corpus, tmp_path
) -> None:
    if value == "cuda" and jax_setup.has_gpu():
        pytest.skip("there is such a device here")
    with commands() as start:
        code, out, (line,) = finish(start(corpus, "--out", tmp_path / "m", **{variable: value}))
    assert (code, out) == (1, "")
    assert line.startswith(f"Error: {said}")
    assert f"{variable}={value}" in line
    assert not (tmp_path / "m").exists()

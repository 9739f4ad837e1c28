"""Counting what a thread compiles."""

from __future__ import annotations

import threading

import jax
import jax.numpy as jnp

from charrepl_daemon.model.compile_count import CompileCounter


def test_only_what_the_thread_itself_compiles_counts():
    def work(size: int) -> None:
        jax.jit(lambda x: x * 3 + size)(jnp.zeros(size)).block_until_ready()

    watched = threading.Thread(target=work, args=(17,))
    compiles = CompileCounter(watched)
    work(19)
    assert compiles.count == 0
    watched.start()
    watched.join()
    assert compiles.count > 0

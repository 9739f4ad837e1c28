"""How often a thread had to wait for a program to be compiled."""

from __future__ import annotations

import threading

import jax.monitoring


class CompileCounter:
    """Counts the programs compiled, or loaded compiled, on one thread."""

    def __init__(self, thread: threading.Thread) -> None:
        self._thread = thread
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        if event.endswith("/backend_compile_duration") and threading.current_thread() is self._thread:
            self.count += 1

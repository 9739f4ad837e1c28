"""What a terminal is sent while a model trains."""

from __future__ import annotations

import io

from rich.console import Console

from charrepl_train.loop import UNDECIDED, Metrics, Tick
from charrepl_train.report import Reporter


def test_a_sample_cannot_command_the_terminal() -> None:
    out = io.StringIO()
    with Reporter(Console(file=out, width=80)) as reporter:
        sample = "\x1b]0;title\x07 \x9b31m \u202eright to left\nnext"
        reporter.metrics(
            Metrics(
                step=1,
                epoch=1,
                loss=1,
                accuracy=0,
                learning_rate=0.1,
                elapsed_s=1,
                characters_per_s=9,
                sample=sample,
            )
        )
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(out.getvalue())
    assert "right to left\nnext" in out.getvalue()


def test_there_is_no_time_left_to_show_before_it_is_known() -> None:
    out = io.StringIO()
    with Reporter(Console(file=out, width=120, force_terminal=True)) as reporter:
        reporter.tick(Tick(7, UNDECIDED, 1.0, 9.0, 1e9))
        assert "step 7" in out.getvalue()
        assert "left" not in out.getvalue()
        reporter.tick(Tick(8, 100, 1.0, 9.0, 200))
        assert "step 8 of 100" in out.getvalue()
        assert "3 min 20 s left" in out.getvalue()

"""What tests ask of an engine by itself: greedy, and to no stop, unless they say otherwise."""

from __future__ import annotations

from typing import Any

from charrepl.wire.protocol import Complete, Decoding, Sample
from charrepl_daemon.engine.decoding import Generation
from charrepl_daemon.engine.engine import Engine


def complete(text: str, **settings: Any) -> Complete:
    """A request for a ghost after `text`."""
    return Complete(seq=0, session="s", text=text, **{"stop": "none", **settings})


def ghost(engine: Engine, text: str, *, session: str = "s", **settings: Any) -> Generation:
    """The only ghost, begun after `text`."""
    (generation,) = engine.planner.ghosts(session, complete(text, **settings))
    return generation


def passage(engine: Engine, text: str, **settings: Any) -> Generation:
    """The passage begun after `text`."""
    return engine.planner.passage(Sample(seq=0, text=text, **{"decoding": Decoding(), **settings}))

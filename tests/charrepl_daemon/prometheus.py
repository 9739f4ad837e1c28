"""A strict reader of Prometheus's text format 0.0.4, written from its specification alone."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(,|$)')
_HELP = re.compile(rf"# HELP ({_NAME}) ((?:[^\\\n]|\\\\|\\n)+)")
_TYPE = re.compile(rf"# TYPE ({_NAME}) (counter|gauge|histogram)")


class Family(NamedTuple):
    """A metric: its samples by name and labels."""

    type: str
    samples: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def value(self, **labels: str) -> float:
        """The only sample with these labels."""
        (found,) = [v for (_, has), v in self.samples.items() if set(labels.items()) <= set(has)]
        return found


def parse(text: str) -> dict[str, Family]:
    """The metrics in a page. Raises AssertionError at whatever the format forbids."""
    assert text.endswith("\n"), "the last line must end"
    families: dict[str, Family] = {}
    lines = iter(text.split("\n")[:-1])
    name = ""
    for line in lines:
        if line.startswith("#"):
            helped = _HELP.fullmatch(line)
            assert helped, line
            name = helped[1]
            typed = _TYPE.fullmatch(next(lines))
            assert typed and typed[1] == name, line
            assert name not in families, f"{name} twice"
            families[name] = Family(typed[2], {})
            continue
        sample = _SAMPLE.fullmatch(line)
        assert sample, line
        family = families[name]
        suffixes = ("_bucket", "_sum", "_count") if family.type == "histogram" else ("",)
        assert sample[1] in {name + suffix for suffix in suffixes}, f"{line} under {name}"
        key = (sample[1], _labels(sample[2] or ""))
        assert key not in family.samples, f"{line} twice"
        family.samples[key] = float(sample[3].replace("+Inf", "inf"))
        if family.type != "gauge":
            assert family.samples[key] >= 0, line
    for name, family in families.items():
        assert family.samples, f"{name} has no samples"
        assert (family.type == "counter") == name.endswith("_total"), name
        if family.type == "histogram":
            _check_histogram(name, family)
    return families


def _labels(text: str) -> tuple[tuple[str, str], ...]:
    found, at = [], 0
    while at < len(text):
        label = _LABEL.match(text, at)
        assert label, text
        unescaped = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], label[2])
        found.append((label[1], unescaped))
        at = label.end()
        assert not (label[3] and at == len(text)), "a comma at the end"
    assert len(dict(found)) == len(found), "a label twice"
    return tuple(found)


def _check_histogram(name: str, family: Family) -> None:
    buckets = [(dict(labels)["le"], v) for (n, labels), v in family.samples.items() if n == f"{name}_bucket"]
    bounds = [float(le.replace("+Inf", "inf")) for le, _ in buckets]
    counts = [count for _, count in buckets]
    assert bounds == sorted(set(bounds)) and bounds[-1] == math.inf, name
    assert counts == sorted(counts), f"{name} is not cumulative"
    assert family.samples[f"{name}_count", ()] == counts[-1], name
    assert f"{name}_sum", () in family.samples

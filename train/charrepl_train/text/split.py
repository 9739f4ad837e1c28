"""Which characters of a text are trained on, which choose between checkpoints, and which are only measured.

A pure function of the files' lengths and the settings: it never looks at the text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple

from charrepl.errors import CharreplError
from charrepl_train.hyperparameters import TrainingConfig

_DEV_LEAST, _DEV_MOST = 16_000, 65_536  # characters: enough to choose by, and a few seconds to read
_HELD_OUT_MOST = 1_000_000
_SECTION = 4_096  # characters at least, of which a part is set aside: short files are taken together
_SECTIONS = 64  # at most

Range = tuple[int, int]  # where it starts and where it stops


class Split(NamedTuple):
    """The ranges of a text's three parts, each in order: trained on, chosen by, only measured."""

    train: tuple[Range, ...]
    dev: tuple[Range, ...]
    held_out: tuple[Range, ...]


Rule = Callable[[Sequence[int], TrainingConfig], Split]


def split(files: Sequence[int], config: TrainingConfig) -> Split:
    """Sets parts aside of files of so many characters each, which stand one after the other.

    Held out is the end of each file, `held_out` of it, a million characters in all at most. Dev is the start
    of each, `dev` of what is left: 65,536 characters at most, and at least 16,000, or a tenth of what is
    left if that is less. So what stands right before a held-out part, and is most like it, is learnt.
    Files are taken together until they have 4,096 characters and a 64th of the text.

    Raises CharreplError if what remains to train on is shorter than one sequence.
    """
    train, dev, held_out = lengths(sum(files), config)
    _check(sum(files), train, config)
    sections = _sections(files)
    measured = _shares(held_out, sections)
    chosen_by = _shares(dev, [n - part for n, part in zip(sections, measured, strict=True)])
    starts = accumulate(sections, initial=0)
    cuts = [
        tuple(pairwise((start, start + first, start + length - last, start + length)))
        for start, length, first, last in zip(starts, sections, chosen_by, measured, strict=False)
    ]
    first_parts, middle_parts, last_parts = zip(*cuts, strict=True)
    return Split(train=_filled(middle_parts), dev=_filled(first_parts), held_out=_filled(last_parts))


def lengths(characters: int, config: TrainingConfig) -> tuple[int, int, int]:
    """How many characters of so many are trained on, chosen by and only measured."""
    held_out = min(characters - int(characters * (1 - config.held_out)), _HELD_OUT_MOST)
    rest = characters - held_out
    dev = min(max(int(rest * config.dev), min(_DEV_LEAST, rest // 10)), _DEV_MOST) if config.dev else 0
    dev = dev if dev >= 2 else 0
    return rest - dev, dev, held_out


def kept(parts: Split | None) -> Rule:
    """What splits a text as a run did: into its `parts`, or by the rule of the time before they were kept."""
    return _at_the_end if parts is None else lambda files, config: parts


def _at_the_end(files: Sequence[int], config: TrainingConfig) -> Split:
    characters = sum(files)
    rest = int(characters * (1 - config.held_out)) if config.held_out else characters
    dev = min(int(rest * config.dev), _DEV_MOST)
    dev = dev if dev >= 2 else 0
    _check(characters, rest - dev, config)
    measured = (rest, min(rest + _HELD_OUT_MOST, characters))
    return Split(((0, rest - dev),), _filled([(rest - dev, rest)]), _filled([measured]))


def _check(characters: int, train: int, config: TrainingConfig) -> None:
    need = config.sequence_length + 1
    if train < need:
        raise CharreplError(
            f"the corpus has {characters} characters, of which {train} are left to train on: "
            f"sequence_length = {config.sequence_length} needs {need}; add text, or set a smaller "
            "sequence_length under [training] in a --config file"
        )


def _sections(files: Sequence[int]) -> list[int]:
    """The lengths of files, short ones taken together with those after them, at the end with those before."""
    least = max(_SECTION, -(-sum(files) // _SECTIONS))
    sections = [0]
    for file in files:
        if sections[-1] >= least:
            sections.append(0)
        sections[-1] += file
    if len(sections) > 1 and sections[-1] < least:
        last = sections.pop()
        sections[-1] += last
    return sections


def _shares(total: int, lengths: Sequence[int]) -> list[int]:
    """`total` shared out by lengths, to the character."""
    whole = sum(lengths)
    ends = [end * total // whole for end in accumulate(lengths, initial=0)]
    return [stop - start for start, stop in pairwise(ends)]


def _filled(ranges: Sequence[Range]) -> tuple[Range, ...]:
    return tuple((start, stop) for start, stop in ranges if stop > start)

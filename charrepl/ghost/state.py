"""The ghost's state: what is shown in grey after the cursor, as a pure function of what happened.

It knows no terminal, socket or clock. A `Ghost` is frozen: each event returns the next one. The model's
answers are kept with the text that they continue (the anchor). What is shown is looked up by the text before
the cursor. So if you type what the ghost says it gets shorter, backspace restores it, and it is there again
when you move away and back, all without a request. If an answer is longer than the part worth showing, the
next part appears as soon as you take the one before. A shown ghost always continues exactly the text before
the cursor.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from dataclasses import dataclass, replace

from charrepl.text import graphemes, phrases, typographic_characters

# Enough to go back over the last few words without a request. Not more, because each answer keeps its anchor.
KEPT_ANSWERS = 24
# If this many characters or fewer are left, a longer ghost is asked for.
LOW_WATER = 8
# A part of a ghost counts as sure if it is right with this probability.
SURE = 0.5
# More characters than anyone types of one ghost.
MOST_TYPED = 512

_WORD = re.compile(r"\s*\S+\s")
_LINE = re.compile(r"\s*[^\n]*\n?")
_COMPLETE_LINE = re.compile(r"\S[^\n]*\n\Z")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote after `anchor`. More will come if it is not `final`."""

    anchor: str
    completion: str
    log_probs: tuple[float, ...] = ()  # nats, one for each character of `completion`, or none at all
    final: bool = False
    seq: int = 0
    cuts: tuple[int, ...] | None = None  # where each part ends that is shown at a time; None for one part

    def typed(self, text: str) -> int | None:
        """How much of the completion is in `text` already; None if `text` continues in another way.

        Composed and decomposed letters are the same, though their lengths differ. A straight quote counts as
        a typographic one: a model without it reads it so, and a model with both would write the same words.
        """
        count = len(text) - len(self.anchor)
        if count < 0 or not text.startswith(self.anchor):
            return None
        if text.endswith(self.completion[:count]) and count <= len(self.completion):
            return count
        return _same_letters(text[-count:], self.completion) if count <= MOST_TYPED else None

    def rest(self, text: str) -> str | None:
        """The rest of the completion after `text`; None if `text` continues in another way."""
        typed = self.typed(text)
        return None if typed is None else self.completion[typed:]

    def part(self, text: str) -> int:
        """Which part of the completion follows `text`. `text` must agree with the completion."""
        return bisect_right(self.cuts or (), self.typed(text) or 0)

    def offered(self, text: str) -> str:
        """The part of the completion to show after `text`, empty for nothing."""
        typed = self.typed(text)
        if typed is None or self.cuts is None:
            return "" if typed is None else self.completion[typed:]
        part = bisect_right(self.cuts, typed)
        return self.completion[typed : self.cuts[part]] if part < len(self.cuts) else ""


@dataclass(frozen=True, slots=True)
class Choice:
    """Several alternatives after the same text, and which of them is shown."""

    anchor: str
    seq: int
    count: int  # of alternatives asked for; when all have come, of those that came
    answers: tuple[Answer, ...] = ()  # the likeliest first
    index: int = 0
    waiting: bool = True

    @property
    def picked(self) -> Answer | None:
        """The alternative that is shown; None if it has not begun to arrive."""
        return self.answers[self.index] if self.index < len(self.answers) else None

    def step(self, by: int) -> Choice:
        """The choice moved to another alternative. After the last comes the first."""
        return replace(self, index=(self.index + by) % self.count)

    def offered(self, rank: int, answer: Answer, *, last: bool) -> Choice:
        """The choice after news of one alternative. If that does not extend what was there, it is ignored."""
        answers = list(self.answers)
        if rank == len(answers):
            answers.append(answer)
        elif rank < len(answers) and answer.completion.startswith(answers[rank].completion):
            answers[rank] = answer
        if not last:
            return replace(self, answers=tuple(answers))
        return replace(self, answers=tuple(answers))._complete()

    def _complete(self) -> Choice:
        """The choice when no more alternatives will come."""
        answers = tuple(replace(answer, final=True) for answer in self.answers)
        count = max(1, len(answers))
        return replace(self, answers=answers, count=count, index=min(self.index, count - 1), waiting=False)


@dataclass(frozen=True, slots=True)
class Ghost:
    """The ghost, and the answers known for texts around it."""

    text: str | None = None  # all text before the cursor; None where no ghost belongs
    rest: str = ""  # what could be shown after `text`, dismissed or not
    source: Answer | None = None  # where `rest` comes from
    answers: tuple[Answer, ...] = ()  # newest first
    seq: int = 0  # of the last request
    asked: str | None = None  # the text of the last request
    waiting: bool = False  # whether its final reply is still to come
    dismissed: Answer | None = None  # hides the ghost while the text agrees with it
    choice: Choice | None = None  # the last choice between alternatives

    @property
    def shown(self) -> str:
        """The text in grey, empty for none."""
        return "" if self.dismissed else self.rest

    @property
    def log_probs(self) -> tuple[float, ...]:
        """Nats for each character of `shown`, or none if the daemon gave none."""
        if not self.shown or self.source is None or self.text is None:
            return ()
        typed = self.source.typed(self.text) or 0
        return self.source.log_probs[typed : typed + len(self.rest)]

    @property
    def part(self) -> tuple[int, int] | None:
        """What is shown: the `seq` of the answer, and which part of it; None for nothing."""
        if not self.shown or self.source is None or self.text is None:
            return None
        return self.source.seq, self.source.part(self.text)

    @property
    def sure(self) -> int:
        """How many characters of `shown` are probably right, all of them together. 0 if that is not known."""
        joint = 0.0
        for count, log_prob in enumerate(self.log_probs):
            joint += log_prob
            if joint < math.log(SURE):
                return count
        return len(self.log_probs)

    @property
    def place(self) -> tuple[int, int] | None:
        """Which alternative is shown, from 1, and of how many; None without a choice."""
        choice = self.choice
        if choice is None or choice.anchor != self.text or choice.picked is None or not self.shown:
            return None
        return choice.index + 1, choice.count

    @property
    def wanted(self) -> bool:
        """Whether a request for `text` should be made now."""
        if self.text is None or self.dismissed or self.text == self.asked:
            return False
        path = [answer for answer in self._known if answer.rest(self.text) is not None]
        if any(answer.final and answer.anchor == self.text for answer in path):
            return False
        streaming = self.waiting or (self.choice is not None and self.choice.waiting)
        if streaming and any(answer.seq == self.seq for answer in path):
            return False  # the stream is ahead of the typist, or will be in a moment
        if not self.rest or self.source is None:
            return True
        if self.waiting and self.asked is not None and self.text.startswith(self.asked):
            return False  # a longer ghost was asked for and has not begun to arrive
        newest = path[0].completion
        if _COMPLETE_LINE.search(newest):
            return False  # a ghost ends with its line: another request would give the same end
        part = self.source.part(self.text)
        if part and self.source.cuts:
            # The next part was computed from an earlier text. From here, it could go further.
            begin = self.source.cuts[part - 1]
            if self.asked is None or not self.text.startswith(self.asked):
                return True
            if (self.source.typed(self.asked) or 0) < begin:
                return True
        # Half of a short answer, so that short answers do not cause a request at each key.
        return len(self.source.rest(self.text) or "") <= min(LOW_WATER, len(newest) // 2)

    def moved(self, text: str | None) -> Ghost:
        """The ghost when `text` is before the cursor. `text` is None where no ghost belongs."""
        if text == self.text:
            return self
        return replace(self, text=text)._settled()

    def ask(self) -> Ghost:
        """The ghost after a request for `text` was sent; earlier requests no longer count."""
        return replace(self, seq=self.seq + 1, asked=self.text, waiting=True)

    def answered(
        self,
        seq: int,
        completion: str,
        log_probs: tuple[float, ...],
        *,
        final: bool,
        cuts: tuple[int, ...] | None = None,
    ) -> Ghost:
        """The ghost after a reply. A reply that is late or does not extend the one before is ignored."""
        if seq != self.seq or not self.waiting or self.asked is None:
            return self
        others = tuple(answer for answer in self.answers if answer.seq != seq)
        before = next((answer for answer in self.answers if answer.seq == seq), None)
        if before is not None and not completion.startswith(before.completion):
            answer = replace(before, final=final)
        else:
            usable = log_probs if len(log_probs) == len(completion) else ()
            answer = Answer(self.asked, completion, usable, final, seq, cuts)
        if final:  # until then, earlier answers to the same text stay available
            others = tuple(other for other in others if other.anchor != answer.anchor)
        answers = (answer, *others)[:KEPT_ANSWERS]
        return replace(self, answers=answers, waiting=not final)._settled()

    def failed(self, seq: int) -> Ghost:
        """The ghost after request `seq` ended without an answer. What is shown stays."""
        if self.choice is not None and seq == self.choice.seq:
            choice = self.choice._complete() if self.choice.waiting else self.choice
            return replace(self, choice=choice)._settled()
        return replace(self, waiting=False) if seq == self.seq else self

    def choose(self, by: int, *, count: int) -> Ghost:
        """The ghost with another alternative. If its `seq` is new, `count` alternatives must be asked for.

        Until they come, the old ghost stays, which is the first of them.
        """
        if self.text is None:
            return self
        choice = self.choice
        if choice is None or choice.anchor != self.text or not (choice.answers or choice.waiting):
            # If no ghost is shown, even the first alternative is new.
            choice = Choice(self.text, self.seq + 1, count, index=by % count if self.shown else 0)
            fresh = replace(self, seq=self.seq + 1, asked=self.text, waiting=False, choice=choice)
            return replace(fresh, dismissed=None)._settled()
        return replace(self, choice=choice.step(by), dismissed=None)._settled()

    def offered(
        self, seq: int, rank: int, completion: str, log_probs: tuple[float, ...], *, final: bool
    ) -> Ghost:
        """The ghost after a piece of an alternative. `final` if it is the last piece of all."""
        choice = self.choice
        if choice is None or choice.seq != seq or not choice.waiting:
            return self
        usable = log_probs if len(log_probs) == len(completion) else ()
        answer = Answer(choice.anchor, completion, usable, final, seq)
        return replace(self, choice=choice.offered(rank, answer, last=final))._settled()

    def dismiss(self) -> Ghost:
        """The ghost hidden until the text no longer agrees with it."""
        if not self.shown or self.text is None:
            return self
        return replace(self, dismissed=Answer(self.text, self.rest))

    def forget(self) -> Ghost:
        """The ghost without known answers, because the model or the decoding changes."""
        return Ghost(text=self.text, seq=self.seq + 1)

    @property
    def _known(self) -> tuple[Answer, ...]:
        """Every answer. The alternative that was picked comes first."""
        picked = self.choice.picked if self.choice is not None else None
        return self.answers if picked is None else (picked, *self.answers)

    def _settled(self) -> Ghost:
        if self.text is None:
            return replace(self, rest="", source=None)
        rest, source = "", None
        for answer in self._known:
            found = answer.offered(self.text)
            # An older answer that agrees and is longer wins, so that a ghost on the screen never shrinks
            # while a new one streams in.
            if len(found) > len(rest) and found.startswith(rest):
                rest, source = found, answer
        hides = self.dismissed is not None and bool(self.dismissed.rest(self.text))
        return replace(self, rest=rest, source=source, dismissed=self.dismissed if hides else None)


def _same_letters(typed: str, completion: str) -> int | None:
    """How many characters of a completion `typed` has, perhaps in another form; None if they differ."""
    if typed.isascii() and completion.isascii():
        return None
    letters = unicodedata.normalize("NFC", typographic_characters.typed(typed))
    completion = typographic_characters.typed(completion)  # as long
    same, at = "", 0
    for cluster in graphemes.iterate(completion):
        if len(same) >= len(letters):
            break
        same, at = same + unicodedata.normalize("NFC", cluster), at + len(cluster)
    return at if same == letters else None


def whole(rest: str) -> str:
    """The whole ghost."""
    return rest


def next_word(rest: str) -> str:
    """The next word and the separator after it; the whole rest if no separator follows.

    In a language without spaces, the next phrase.
    """
    found = _WORD.match(rest)
    word = rest[: graphemes.end(rest, found.end())] if found else rest
    return phrases.first(word) if phrases.unspaced(word) else word


def next_line(rest: str) -> str:
    """The rest up to the newline that ends the next line that is not empty, including it."""
    found = _LINE.match(rest)
    return found[0] if found else rest


def next_char(rest: str) -> str:
    """The next character, as people see it."""
    return graphemes.first(rest)

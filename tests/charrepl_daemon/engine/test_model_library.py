"""Models come one after another, only for who still waits, and leave nothing behind when they go."""

from __future__ import annotations

import contextlib
import gc
import os
import queue
import shutil
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from charrepl.errors import CharreplError
from charrepl.wire import protocol
from charrepl_daemon.engine import hung_reads, model_library
from charrepl_daemon.engine.engine import Engine
from charrepl_daemon.engine.model_library import ModelLibrary
from charrepl_daemon.model.beam_search import Searcher
from charrepl_daemon.serving.job import Job
from charrepl_daemon.serving.jobs import job_for
from charrepl_daemon.serving.scheduler import _MOST_UNSENT, Scheduler
from charrepl_train.model_directory import loaded_model
from tests.charrepl_daemon.changed_model import change
from tests.charrepl_daemon.wire import Wire, complete, finals, until_final
from tests.soak.watching import resident_mb
from tests.waiting import DEADLINE_S

CACHE_MB = 16
LOADS = 100
NAMES = 8


class Asker:
    """A connection of its own to a scheduler in this process."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._lock: Any = scheduler._changed
        self.replies: queue.Queue[Any] = queue.Queue()

    def ask(self, directory: Path, request: Any = None) -> Job:
        request = request or protocol.Complete(seq=1, session="s", text="every cup is wa")
        job = job_for(request, directory=directory, connection=self, deliver=self._take)
        self._scheduler.submit(job)
        return job

    def _take(self, job: Job, reply: protocol.Reply) -> None:
        # A server holds its replies' lock here, and asks for the scheduler's: the other way round they
        # would wait for each other.
        assert not self._lock._is_owned(), "a reply under the scheduler's lock"
        self._scheduler.sent(job)
        self.replies.put(reply)

    def final(self) -> Any:
        while not protocol.is_final(reply := self.replies.get(timeout=DEADLINE_S)):
            pass
        return reply

    def ghosts(self, *before: Any) -> dict[int, Any]:
        """The alternatives as they are at the end, which each extend what came of them before."""
        found: dict[int, Any] = {}
        replies = iter([*before])
        while True:
            reply = next(replies, None) or self.replies.get(timeout=DEADLINE_S)
            rank = reply.alternative
            assert rank not in found or reply.text.startswith(found[rank].text)
            found[rank] = reply
            if reply.final:
                return found


class Loads:
    """What was loaded, and how many at a time at most."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.most = 0
        self.now = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.begun = threading.Semaphore(0)
        self._lock = threading.Lock()

    def watching(self, read: Any) -> Any:
        def probed(self_: ModelLibrary, directory: Path, present: Engine | None) -> Any:
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
                self.order.append(directory.name)
            self.begun.release()
            assert self.may_go_on.wait(DEADLINE_S)
            try:
                return read(self_, directory, present)
            finally:
                with self._lock:
                    self.now -= 1

        return probed


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    loads = Loads()
    monkeypatch.setattr(ModelLibrary, "_read", loads.watching(ModelLibrary._read))
    return loads


@pytest.fixture(scope="module")
def models_(tmp_path_factory: pytest.TempPathFactory, model_dir: Path) -> list[Path]:
    """The same model under eight names."""
    base = tmp_path_factory.mktemp("models")
    return [Path(shutil.copytree(model_dir, base / f"m{n}")) for n in range(NAMES)]


@pytest.fixture
def scheduler(shared_home: Path) -> Iterator[Scheduler]:
    scheduler = Scheduler(most_models=1, cache_bytes=1 << 20)
    scheduler.start()
    yield scheduler
    scheduler.stop(drain_s=1)
    for thread in threading.enumerate():
        if thread.name in ("load", "compile"):  # one that compiles as the interpreter ends would abort it
            thread.join(DEADLINE_S)


def test_eight_names_asked_for_at_once_are_loaded_one_after_another(scheduler, loads, models_):
    askers = [Asker(scheduler) for _ in models_]
    for asker, directory in zip(askers, models_, strict=True):
        asker.ask(directory)
    assert all(asker.final().text.startswith("rm") for asker in askers)
    assert (loads.most, len(loads.order)) == (1, NAMES)


@pytest.mark.parametrize("name", ["load", "compile"])
def test_threads_that_ran_short_for_a_moment_cost_no_more_than_that(scheduler, models_, monkeypatch, name):
    start, left = threading.Thread.start, [name]

    def refused_once(thread: threading.Thread) -> None:
        if thread.name in left:  # a limit of the system's, which root does not have
            left.remove(thread.name)
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused_once)
    asker, score = Asker(scheduler), protocol.Score(seq=2, text="every cup")
    asker.ask(models_[0])
    said = asker.final()
    if name == "load":
        assert "can't start new thread" in said.message
        asker.ask(models_[0])
        said = asker.final()
    assert said.text.startswith("rm")
    asker.ask(models_[0], score)
    assert len(asker.final().log_probs) == len(score.text)
    assert not left


def test_a_model_whose_disk_does_not_answer_is_named_and_holds_up_no_other(
    scheduler, models_, tmp_path, monkeypatch
):
    monkeypatch.setattr(hung_reads, "_MOST_S", 2.0)
    hung, answers = models_[0], tmp_path / "answers"
    os.mkfifo(answers)
    load = loaded_model.load

    def from_afar(directory: Path) -> Any:
        if directory == hung:
            answers.read_bytes()
        return load(directory)

    monkeypatch.setattr(loaded_model, "load", from_afar)
    waiting, other = Asker(scheduler), Asker(scheduler)
    waiting.ask(hung)
    other.ask(models_[1])
    said = waiting.final()
    assert said.code == "busy"
    assert f"reading {hung} has taken 2 s" in said.message
    assert other.final().text.startswith("rm")
    monkeypatch.setattr(hung_reads, "_MOST_S", DEADLINE_S)
    done: queue.Queue[CharreplError | None] = queue.Queue()
    scheduler.reload(hung, done.put)  # while it hangs, nobody waits for it again
    assert done.get(timeout=DEADLINE_S / 2) is not None
    (left,) = [thread for thread in threading.enumerate() if thread.name == "read"]
    monkeypatch.setattr(loaded_model, "load", load)  # the disk is back
    answers.write_bytes(b"")
    left.join(DEADLINE_S)
    scheduler.reload(hung, done.put)
    assert done.get(timeout=DEADLINE_S) is None


def test_who_asks_for_many_models_waits_for_them_and_nobody_else_does(scheduler, loads, models_):
    loads.may_go_on.clear()
    greedy, other = Asker(scheduler), Asker(scheduler)
    for n, directory in enumerate(models_[:-1]):
        greedy.ask(directory, protocol.Sample(seq=n, text="a", max_chars=1))
    assert loads.begun.acquire(timeout=DEADLINE_S)
    other.ask(models_[-1])
    loads.may_go_on.set()
    assert other.final().text.startswith("rm")
    assert models_[-1].name in loads.order[:3]


def test_a_model_that_nobody_waits_for_any_more_is_not_loaded(scheduler, loads, models_):
    loads.may_go_on.clear()
    asker = Asker(scheduler)
    jobs = [
        asker.ask(directory, protocol.Sample(seq=n, text="a", max_chars=1))
        for n, directory in enumerate(models_)
    ]
    assert loads.begun.acquire(timeout=DEADLINE_S)
    for job in jobs[1:-1]:
        scheduler.abandon(job)
    loads.may_go_on.set()
    assert {asker.final().seq, asker.final().seq} == {0, NAMES - 1}
    assert loads.order == [models_[0].name, models_[-1].name]
    assert scheduler.waiting() == 0


def test_a_passage_makes_way_for_a_model_that_others_wait_for(scheduler, models_, monkeypatch):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.1)
    reader = Asker(scheduler)
    reader.ask(models_[0], protocol.Sample(seq=5, text="a", max_chars=1_000_000))
    assert isinstance(reader.replies.get(timeout=DEADLINE_S), protocol.Chunk)
    others = [Asker(scheduler) for _ in range(2)]
    for asker, directory in zip(others, models_[1:], strict=False):
        asker.ask(directory)
        assert asker.final().text.startswith("rm")
    told = reader.final()
    assert (told.code, told.seq) == ("busy", 5)
    assert "--max-models" in told.message


def test_a_passage_of_a_model_loaded_anew_is_told_so(scheduler, models_, monkeypatch):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.1)
    reader = Asker(scheduler)
    reader.ask(models_[0], protocol.Sample(seq=5, text="a", max_chars=1_000_000))
    assert isinstance(reader.replies.get(timeout=DEADLINE_S), protocol.Chunk)
    for _ in range(2):  # the second waits until nobody uses the first
        load_anew(scheduler, models_[0])
    told = reader.final()
    assert (told.code, told.message) == ("busy", "m0 was reloaded: ask again")


def test_a_reload_of_the_same_files_keeps_the_model_with_all_that_it_has_read(scheduler, models_):
    asker = Asker(scheduler)
    asker.ask(models_[0])
    asker.final()
    (before,) = scheduler.library.engines()
    reload(scheduler, models_[0])
    assert scheduler.library.engines() == [before]
    load_anew(scheduler, models_[0])
    assert before not in scheduler.library.engines()


def reload(scheduler: Scheduler, directory: Path) -> None:
    done: queue.Queue[CharreplError | None] = queue.Queue()
    scheduler.reload(directory, done.put)
    assert done.get(timeout=DEADLINE_S) is None


def load_anew(scheduler: Scheduler, directory: Path) -> None:
    change(directory)
    reload(scheduler, directory)


def test_a_score_begins_anew_where_its_model_is_loaded_anew(scheduler, models_, monkeypatch):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.02)
    asker, request = Asker(scheduler), protocol.Score(seq=5, text="every cup is warm, " * 3000)
    asker.ask(models_[0], protocol.Complete(seq=0, session="t", text="a"))
    asker.final()
    asker.ask(models_[0], request)
    for _ in range(3):
        load_anew(scheduler, models_[0])
    assert len(asker.final().log_probs) == len(request.text)


def test_a_ghost_reads_its_text_at_most_twice_however_often_its_model_is_loaded_anew(
    scheduler, models_, monkeypatch
):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.0)
    step, read_with = Engine.step, list[Engine]()

    def slow_step(engine: Engine, generations: Any) -> None:
        if any(len(w.tokens) > 1000 for w in generations):  # not what a new engine tries itself with
            read_with.append(engine)
            time.sleep(0.02)  # a slow device
        step(engine, generations)

    monkeypatch.setattr(Engine, "step", slow_step)
    asker = Asker(scheduler)
    asker.ask(models_[0], protocol.Complete(seq=5, session="s", text="every cup is warm, " * 100))
    for _ in range(6):
        load_anew(scheduler, models_[0])
    assert asker.final().seq == 5
    assert len(set(read_with)) == 2


@contextlib.contextmanager
def half_sent(scheduler: Scheduler, asker: Asker, directory: Path, request: Any) -> Iterator[Any]:
    """The first piece of a ghost whose reader is slow meanwhile, and which does without its engine then."""
    job = asker.ask(directory, request)
    first = asker.replies.get(timeout=DEADLINE_S)
    job.count_unsent(1_000_000)
    before = job.engine
    assert not first.final
    yield first
    assert job.engine is not before
    job.count_unsent(_MOST_UNSENT // 2 + 1 - job.unsent)
    scheduler.sent(job)


LONG = protocol.Complete(seq=5, session="s", text="a", max_chars=4096, stop="none")


@pytest.mark.parametrize("alternatives", [1, 3])
def test_a_ghost_half_sent_goes_on_where_its_model_is_loaded_anew(
    scheduler, models_, monkeypatch, alternatives
):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.0)
    request = msgspec.structs.replace(LONG, alternatives=alternatives)
    whole, asker = Asker(scheduler), Asker(scheduler)
    whole.ask(models_[0], request)
    expected = whole.ghosts()
    assert len(expected[0].text) == LONG.max_chars
    with half_sent(scheduler, asker, models_[0], request) as first:
        for _ in range(2):  # the second waits until nobody uses the first
            load_anew(scheduler, models_[0])
    found = asker.ghosts(first)
    assert {rank: reply.text for rank, reply in found.items()} == {r: w.text for r, w in expected.items()}


def test_a_ghost_half_sent_ends_where_the_new_model_would_write_something_else(
    scheduler, models_, monkeypatch, trained, tmp_path
):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.0)
    model = Path(shutil.copytree(models_[0], tmp_path / "model"))
    asker = Asker(scheduler)
    with half_sent(scheduler, asker, model, LONG) as first:
        shutil.rmtree(model)
        shutil.copytree(trained.directory, model)
        for _ in range(2):
            load_anew(scheduler, model)
    (told,) = asker.ghosts(first).values()
    assert len(told.log_probs) == len(told.text) < LONG.max_chars


def test_a_ghost_half_sent_goes_on_once_the_model_that_it_made_way_for_has_answered(
    scheduler, models_, monkeypatch
):
    monkeypatch.setattr(model_library, "_LEAVING_S", 0.0)
    asker, others = Asker(scheduler), Asker(scheduler)
    with half_sent(scheduler, asker, models_[0], LONG) as first:
        for directory in models_[1:3]:
            others.ask(directory)
            assert others.final().text.startswith("rm")
    assert len(asker.ghosts(first)[0].text) == LONG.max_chars


def test_replies_are_delivered_without_the_schedulers_lock(scheduler, models_):
    first, other = Asker(scheduler), Asker(scheduler)
    search = protocol.Decoding(beam=2)
    for seq in range(3):  # superseded, most of them
        first.ask(models_[0], protocol.Complete(seq=seq, session="s", text="every cup is wa"))
    for seq, request in enumerate(
        [
            protocol.Score(seq=0, text="every cup"),
            protocol.Complete(seq=1, session="b", text="every", decoding=search),
            protocol.Complete(seq=2, session="c", text="every", decoding=search, alternatives=2),  # refused
            protocol.Sample(seq=3, text="a", max_chars=9),
        ]
    ):
        other.ask(models_[0], request)
        assert other.final().seq == seq
    assert [first.final().seq for _ in range(3)] == [0, 1, 2]


def test_a_model_that_made_way_is_freed_without_the_collector(scheduler, models_, monkeypatch):
    made: list[weakref.ref[Engine]] = []
    built = Engine.__init__

    def init(self: Engine, *arguments: Any, **settings: Any) -> None:
        made.append(weakref.ref(self))
        built(self, *arguments, **settings)

    monkeypatch.setattr(Engine, "__init__", init)
    gc.collect()
    gc.disable()
    try:
        for directory in models_[:4]:
            asker = Asker(scheduler)
            for request in (None, protocol.Sample(seq=2, text="a", max_chars=9)):
                asker.ask(directory, request)
                assert protocol.is_final(asker.final())
        # The device's thread has still to see off the last but one, and another may be compiling for it.
        deadline = time.monotonic() + DEADLINE_S
        while any(engine() is not None for engine in made[:-1]):
            assert time.monotonic() < deadline, "a model that nobody uses is still there"
    finally:
        gc.enable()


def test_what_of_a_broken_model_was_loaded_is_freed_as_well(scheduler, models_, monkeypatch):
    made: list[weakref.ref[Engine]] = []

    def canary(self: Engine) -> None:
        made.append(weakref.ref(self))
        raise CharreplError("the weights are not numbers", code="bad_model")

    monkeypatch.setattr(Engine, "_canary", canary)
    asker = Asker(scheduler)
    gc.collect()
    gc.disable()
    try:
        asker.ask(models_[0])
        assert asker.final().code == "bad_model"
        deadline = time.monotonic() + DEADLINE_S
        while made[0]() is not None:
            assert time.monotonic() < deadline, "an error holds what was loaded"
    finally:
        gc.enable()


def test_a_score_does_not_fail_because_beam_search_cannot_be_compiled(scheduler, loads, models_, monkeypatch):
    def fail(*_: Any) -> None:
        raise RuntimeError("no room for the program")

    monkeypatch.setattr(Searcher, "compile", fail)
    loads.may_go_on.clear()
    searching, scoring = Asker(scheduler), Asker(scheduler)
    decoding = protocol.Decoding(beam=2)
    searching.ask(models_[0], protocol.Complete(seq=1, session="s", text="every", decoding=decoding))
    scoring.ask(models_[0], protocol.Score(seq=2, text="every cup"))
    loads.may_go_on.set()
    assert "search program" in searching.final().message
    assert len(scoring.final().log_probs) == 9


def test_a_hundred_models_by_turns_leave_memory_as_it_was(shared_home, model_dir, altered_daemon):
    names = [f"m{n}" for n in range(NAMES)]
    for name in names:
        shutil.copytree(model_dir, shared_home / "models" / name)
    altered_daemon(
        # To load the wider programs takes as long as all the rest.
        "from charrepl_daemon.engine import engine; engine._BATCHES = (1,)",
        options=("--max-models", "1", "--model", "kettle", "--cache-mb", str(CACHE_MB)),
    )
    resident: list[float] = []
    with Wire() as wire:
        pid = wire.status()["pid"]
        for n in range(LOADS):
            wire.send(complete(n, "every cup is wa", model=names[n % NAMES]))
            assert until_final(wire)[-1]["text"].startswith("rm")
            resident.append(resident_mb(pid))
        # Each that stayed would keep its carries, CACHE_MB of them; what the allocator keeps varies by less.
        print([round(mb) for mb in resident[::10]])
        assert max(resident[-20:]) < max(resident[10:30]) + 2 * CACHE_MB
        # And all at once: two are in memory while one makes way for the next.
        for n, name in enumerate(names):
            wire.send({**complete(n, "every cup is wa", model=name), "session": name})
        assert {reply["type"] for reply in finals(wire, NAMES).values()} == {"ghost"}
        assert resident_mb(pid) < max(resident[10:30]) + 2 * CACHE_MB

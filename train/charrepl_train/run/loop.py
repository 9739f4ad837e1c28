"""The training loop: steps, evaluations, checkpoints; pure of terminal and command line."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from charrepl.errors import CharreplError
from charrepl_train import hyperparameters
from charrepl_train.devices import data_parallel
from charrepl_train.hyperparameters import Config
from charrepl_train.model import cudnn, network, products
from charrepl_train.model.parameters import Params
from charrepl_train.model_directory import checkpoint, metrics_history
from charrepl_train.model_directory.loaded_model import LoadedModel
from charrepl_train.model_directory.records import Metrics, Run, StepReport
from charrepl_train.model_directory.run_files import RunFiles
from charrepl_train.optimisation import evaluate
from charrepl_train.optimisation.training_step import (
    State,
    StepResult,
    evaluated,
    gathered,
    sharded,
    start,
    update,
)
from charrepl_train.run import finetune, last_pass, samples, throughput
from charrepl_train.run.evaluation_schedule import UNDECIDED, Schedule
from charrepl_train.text import renaming
from charrepl_train.text.corpus import Corpus

_TIMED_S = 3.0  # how long steps are timed, before their mean is believed
_TIMED = 0.01, 0.1  # of --minutes at least and at most, to decide how many steps fit into them
_SAVED_S = 180.0  # between two checkpoints at most: what a power failure costs
_RESERVED = 0.03  # of --minutes, to compile what evaluates


class _InterruptedError(Exception):
    pass


class Trainer:
    """One run, in a model's directory: made anew or resumed, stepped by `train`.

    Where there are several processes, each has one and they take the same steps; only that of the process
    that leads reads or writes the directory. `base`: whose weights to start from, instead of random ones.
    """

    def __init__(
        self,
        directory: Path,
        config: Config,
        run: Run,
        corpus: Corpus,
        *,
        base: LoadedModel | None = None,
    ) -> None:
        self.batches = renaming.batches(corpus.train, corpus.vocabulary, config.training)
        if config.training.rename_names == "auto":  # decided once, and kept with the run
            config = hyperparameters.replace(config, training={"rename_names": self.batches.names > 0})
        training = config.training
        self.config = config
        self.run = run
        run.split = corpus.split  # which it goes on with, whatever the rule is then
        self.corpus = corpus
        self.vocabulary = corpus.vocabulary
        self._plan = Schedule(training, corpus, self.batches)
        dtype = products.dtype(training.precision)
        layer = config.model.hidden_size, self.batches.batch_size, training.sequence_length
        recur = cudnn.chosen(run.layers_by, *layer, training.precision)
        self.by_cudnn = recur is cudnn.recur
        run.layers_by = run.layers_by or ("cudnn" if self.by_cudnn else "scan")
        definition, params = network.build(
            config.model,
            len(corpus.vocabulary),
            seed=training.seed,
            forget_bias=training.forget_bias,
            dtype=dtype,
            recur=recur,
        )
        if base is not None:
            params = jax.tree.map(jnp.asarray, finetune.weights(base, corpus.vocabulary))
        self.definition = definition
        if self.by_cudnn:  # which keeps what a gradient would need, and more text is read than in a step
            definition, _ = network.abstract(config.model, len(corpus.vocabulary), dtype=dtype)
        self.devices = data_parallel.Devices()
        self.files = RunFiles(directory, writes=self.devices.is_leader)
        shape = (config.model.layers, config.model.hidden_size)
        self._evaluator = evaluate.Evaluator(definition, *shape, self.devices)
        self.state: State = start(config, params, self.batches.batch_size)
        self._saved_step = -1
        self._began = 0.0
        self._clock: Callable[[], float] = time.monotonic

    @property
    def directory(self) -> Path:
        """That of its model."""
        return self.files.directory

    @property
    def has_saved(self) -> bool:
        """Whether anything of it has been saved."""
        return self._saved_step >= 0

    @property
    def parameters(self) -> int:
        """How many numbers the model learns."""
        return sum(leaf.size for leaf in jax.tree.leaves(self.state["params"]))

    def steps_of_epochs(self) -> int:
        """How many steps the settings' epochs are. Raises CharreplError if they are beyond counting."""
        epochs = self.config.training.epochs
        steps = max(1, round(epochs * self.batches.steps_per_epoch))
        if steps >= UNDECIDED:
            most = (UNDECIDED - 1) // self.batches.steps_per_epoch
            raise CharreplError(f"{epochs:,.7g} epochs are {steps:,} steps: choose {most:,} epochs at most")
        return steps

    def write_settings(self) -> None:
        """Writes the settings and, last, run.json: if that is missing, nothing began."""
        self.files.write_settings(self.config, self.vocabulary)
        self.files.write_run(self.run)

    def resume(self) -> int:
        """Goes on from the latest checkpoint, if there is one; returns the step."""
        step = 0
        if checkpoint.exists(self.directory, "latest"):
            step, state = checkpoint.load(self.directory, "latest", self.state)
            self.state = jax.tree.map(jnp.asarray, state)
            self._saved_step = step
        else:
            self.run.loss_sum, self.run.loss_steps, self.run.elapsed_s = 0.0, 0, 0.0
        metrics_history.trim(self.directory, step)
        return step

    def save(self) -> None:
        """Writes the latest checkpoint, unless it is of this very step."""
        step = int(self.state["step"])
        state = gathered(self.state, self.devices, self.batches.batch_size)
        if step != self._saved_step:
            if not len(self.corpus.dev):  # nothing to choose by: the newest is the best
                self.files.save("best", step, evaluated(state))
            self.files.save("latest", step, state)
            self._saved_step = step
        self.run.elapsed_s = self._elapsed_s()
        self.files.write_run(self.run)

    def train(
        self,
        *,
        started: float | None = None,
        interrupted: Callable[[], bool] = lambda: False,
        tick: Callable[[StepReport], None] = lambda tick: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Iterator[Metrics]:
        """Steps to the end of the run, yielding what was measured; stops early if `interrupted`.

        Where the run has minutes, a few timed steps decide how many fit into those since it was `started`, by
        the `clock`, or since now. That number is kept, and the run is the same as any other run of so many
        steps. `tick` is called about twice a second, and before each evaluation. Raises CharreplError if the
        loss is no longer a number or a checkpoint cannot be written.
        """
        self.state = sharded(self.state, self.devices)
        self._clock = clock
        self._began = clock() - self.run.elapsed_s
        now_and_then = throughput.rarely(tick)
        if not self.run.total_steps:
            self._decide(
                self.devices.from_leader(clock() if started is None else started), interrupted, now_and_then
            )
        step = int(self.state["step"])
        total = self.run.total_steps or step
        pace = throughput.Throughput(step)
        mark, mark_step = self._now(), step
        saved_s = mark
        while step < total and not self.devices.any(interrupted()):
            steps = min(pace.steps(), self._plan.until_due(step, total))
            measured = self._steps(step, steps, total)
            loss = self._count(measured, step, steps)
            step += steps
            pace.took(step, self._now())
            speed, steady = self._characters(1 / pace.mean_s), pace.timed_s >= _TIMED_S
            left_s, due = self._plan.left_s(step, total, pace.mean_s), self._plan.due(step, total)
            (tick if due else now_and_then)(StepReport(step, total, loss, speed, left_s, steady, due))
            if due:
                yield self._measure(step, total, measured, mark, mark_step)
                mark, mark_step = self._now(), step
                pace.resumes(mark)
            if self._saved_step == step:
                saved_s = mark
            elif step < total and self._now() - saved_s >= _SAVED_S:
                self.save()
                saved_s = self._now()
                pace.resumes(saved_s)
        self.save()

    def estimate(self, *, interrupted: Callable[[], bool] = lambda: False) -> tuple[int, float, float]:
        """A new run's steps, seconds and characters a second, by a few steps that are taken back."""
        self.state = sharded(self.state, self.devices)
        pace = self._timed(_TIMED_S, interrupted)
        wanted_s = 60 * (self.run.minutes or 0) * (1 - _RESERVED)
        total = self.run.total_steps or self._plan.total_within(wanted_s, 0, pace.mean_s)
        return total, self._plan.left_s(0, total, pace.mean_s), self._characters(1 / pace.mean_s)

    def _decide(
        self, started: float, interrupted: Callable[[], bool], tick: Callable[[StepReport], None]
    ) -> None:
        """Times some steps, unless `interrupted`, to decide how many fit into the minutes since `started`."""
        wanted_s = 60 * (self.run.minutes or 0)
        least_s, most_s = (part * wanted_s for part in _TIMED)
        enough_s = min(max(_TIMED_S, least_s), most_s)
        first = int(self.state["step"])
        pace = self._timed(enough_s, interrupted, tick)
        if pace.timed_s >= enough_s:
            left_s = wanted_s * (1 - _RESERVED) - (self._now() - started)
            self.run.total_steps = self._plan.total_within(left_s, first, pace.mean_s)

    def _timed(
        self,
        enough_s: float,
        interrupted: Callable[[], bool],
        tick: Callable[[StepReport], None] = lambda tick: None,
    ) -> throughput.Throughput:
        """The pace of steps that are taken for so long, unless `interrupted`.

        They are taken back: the run must be the same as any other run of that number of steps.
        """
        before = _copied(self.state)
        step = int(self.state["step"])
        pace = throughput.Throughput(step)
        while pace.timed_s < enough_s and not self.devices.any(interrupted()):
            steps = pace.steps()
            loss = float(self._steps(step, steps, UNDECIDED).losses[steps - 1])
            step += steps
            pace.took(step, self._now())
            tick(StepReport(step, UNDECIDED, loss, self._characters(1 / pace.mean_s), math.inf, False))
        self.state = before
        return pace

    def _elapsed_s(self) -> float:
        return round(self._clock() - self._began, 2)

    def _now(self) -> float:
        """By the clock of process 0: what is decided by it is the same in all."""
        return self.devices.from_leader(self._clock())

    def _count(self, measured: StepResult, step: int, steps: int) -> float:
        """The loss of the last of some steps after `step`, all added to those since the last metrics."""
        losses = np.asarray(measured.losses)[:steps].tolist()
        for n, loss in enumerate(losses, 1):
            if not math.isfinite(loss):
                raise CharreplError(
                    f"the loss became {loss} at step {step + n}: train with a lower learning_rate in a "
                    f"--config file, under another --name; what was saved before is kept in {self.directory}"
                )
            self.run.loss_sum += loss
        self.run.loss_steps += steps
        return float(losses[-1])

    def _characters(self, steps: float) -> float:
        return steps * self.batches.batch_size * self.config.training.sequence_length

    def _steps(self, step: int, steps: int, total: int) -> StepResult:
        """Takes some steps after `step`."""
        batches, rows = self.batches, self.devices.rows(self.batches.batch_size)
        self.state, measured = update(
            self.definition,
            self.config.training,
            batches.steps_per_epoch,
            self.state,
            self.devices.shard_steps(batches.many(step, steps, rows)),
            np.int32(total),
            share=self.devices.share(batches.batch_size),
        )
        return measured

    def _measure(
        self,
        step: int,
        total: int,
        measured: StepResult,
        mark: float,
        mark_step: int,
    ) -> Metrics:
        loss = self.run.loss_sum / self.run.loss_steps
        self.run.loss_sum, self.run.loss_steps = 0.0, 0
        now = self._clock()
        metrics = Metrics(
            step=step,
            epoch=round(step / self.batches.steps_per_epoch, 4),
            loss=loss,
            accuracy=float(measured.accuracy),
            learning_rate=float(measured.learning_rate),
            elapsed_s=self._elapsed_s(),
            characters_per_s=round(self._characters(step - mark_step) / (now - mark), 1),
        )
        evaluates = self._plan.evaluates(step, total)
        if evaluates:
            self._evaluate(metrics, step)
        # Before the checkpoint: a line too many is dropped when resuming, one too few would be missing.
        self.files.log(metrics)
        if evaluates:
            self.save()
        return metrics

    def _evaluate(self, metrics: Metrics, step: int) -> None:
        params = evaluated(self.state)
        if len(self.corpus.dev):
            params, metrics.dev_loss = self.dev()
            if metrics.dev_loss < float(self.state["best"]):
                self.state["best"] = self.devices.replicate(jnp.float32(metrics.dev_loss))
                self.files.save("best", step, self.devices.local(params))
        if self.config.training.sample_characters and self.devices.is_leader:
            metrics.sample = samples.generate(
                self.definition,
                self.devices.local(params),
                self.vocabulary,
                characters=self.config.training.sample_characters,
                temperature=0.0 if self.config.training.sample_epochs else 0.8,
                seed=step,
            )

    def dev(self) -> tuple[Params, float]:
        """The weights as they would be kept now, and their loss on the dev slice."""
        params, calibrate = evaluated(self.state), self.config.training.calibrate
        return self._evaluator.dev(params, self.corpus.dev, calibrate=calibrate)

    def finish(
        self,
        *,
        interrupted: Callable[[], bool] = lambda: False,
        tick: Callable[[], None] = lambda: None,
    ) -> dict[str, float] | None:
        """Measures the best weights on the held-out text, once, and marks the run finished.

        Then they learn what was set aside, if the settings ask for a last pass.
        None if `interrupted` meanwhile. `tick` is called now and then.
        """

        def go_on() -> None:
            tick()
            if self.devices.any(interrupted()):
                raise _InterruptedError

        try:
            results = self._results(go_on)
        except _InterruptedError:
            return None
        if results:
            self.files.log({"step": int(self.state["step"]), **results})
        self.run.finished = True
        self.run.completed_at = time.time()
        self.files.write_run(self.run)
        return results

    def _results(self, go_on: Callable[[], None]) -> dict[str, float]:
        """What `finish` measures; with the last pass, if there is to be one."""
        results: dict[str, float] = {}
        text, apart = self.corpus.held_out, self.corpus.set_aside()
        passes = self.config.training.last_pass and len(apart) > self.config.training.sequence_length
        if len(text) < 2 and not passes:
            return results
        step, params = 0, self.devices.local(self.state["params"])
        if self.devices.is_leader:
            step, params = checkpoint.load(self.directory, checkpoint.measured_kind(self.directory), params)
        params = self.devices.replicate_leader(params)
        go_on()
        if len(text) >= 2:
            loss = "learnt_loss" if self.run.held_out_seen else "held_out_loss"
            results[loss] = self._evaluator.stateful(params, text, go_on)
            in_windows = self._evaluator.windows(params, text, go_on)
            if in_windows is not None:
                results[f"{loss}_windows_256"] = in_windows
        if passes:
            learnt = last_pass.learnt(self.definition, self.config, params, apart, self.devices, go_on)
            self.files.save("measured", step, self.devices.local(params))
            self.files.save("best", step, self.devices.local(learnt))
            self.files.add_learnt(apart, self.vocabulary)
            results["last_pass_characters"] = len(apart)
        return results


@jax.jit
def _copied(state: State) -> State:
    """A copy of the state, because a step consumes the state that it is given."""
    return jax.tree.map(jnp.copy, state)

"""Every program that serves, lowered for CUDA: it can be, and a character needs nothing from the host."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

from charrepl_daemon.model import adaptation, beam_search, programs, serving_lstm
from charrepl_daemon.model.packed_arguments import Packing
from charrepl_train.hyperparameters import ModelConfig
from charrepl_train.model import network
from tests import cuda

KINDS, SHAPE = 11, (2, 2, 16)
VISIBLE = np.arange(KINDS) > 2
STORE = jax.ShapeDtypeStruct((50, 64), np.float32)


@pytest.fixture(scope="module")
def weights():
    _, shapes = network.abstract(ModelConfig(layers=2, hidden_size=16, output_layers="all"), KINDS)
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, leaf.dtype), shapes)
    return {kind: serving_lstm.prepared(params, kind) for kind in ("f32", "bf16", "int8")}


@pytest.mark.parametrize(("precision", "batch"), [("f32", 1), ("bf16", 8), ("int8", 8)])
def test_pieces_of_ghosts_are_written_on_the_device(weights, precision: str, batch: int) -> None:
    packing = Packing(programs.blank_rows(KINDS))
    serve = programs.serve_program(SHAPE, VISIBLE, packing)
    arguments = weights[precision], STORE, packing.blank(batch)
    text = cuda.lowered(jax.jit(serve, donate_argnums=1), *arguments)
    cuda.check(text)
    assert cuda.precisions(text) == {"HIGHEST"}


@pytest.mark.parametrize("reads", programs.READS)
def test_a_gpu_s_piece_has_no_condition_that_the_host_must_read(weights, reads: int) -> None:
    packing = Packing(programs.blank_rows(KINDS))
    serve = programs.serve_program(SHAPE, VISIBLE, packing, reads=reads)
    text = cuda.lowered(jax.jit(serve, donate_argnums=1), weights["f32"], STORE, packing.blank(2))
    cuda.check(text)
    assert not re.findall(r"stablehlo\.(case|if)\b", text)
    # XLA sees how often such a loop runs, and then computes no condition.
    conditions = re.findall(r"cond \{(.*?)\} do \{", text, re.DOTALL)
    assert conditions
    counts = r"\s*(%\d+) = stablehlo.compare +LT, %iterArg\w*, %c\w*, +SIGNED.*\s*stablehlo.return \1 .*\s*"
    assert [condition for condition in conditions if not re.fullmatch(counts, condition)] == []
    # Sums of floats in an order that changes: none. Those of votes are of whole numbers.
    added = re.findall(r"scatter.*?stablehlo\.add %\S+ %?\S* ?: tensor<(\w+)>", text, re.DOTALL)
    assert "f32" not in added


def test_beams_are_searched_on_the_device(weights) -> None:
    searcher = beam_search.Searcher(weights["f32"], SHAPE, VISIBLE)
    blank = searcher._arguments(0, searcher._blank, fresh=True, beams=2, budget=3, ends=VISIBLE)
    search = jax.jit(beam_search.beam_program(SHAPE, VISIBLE))
    text = cuda.lowered(search, weights["f32"], STORE, *blank)
    cuda.check(text)
    assert cuda.precisions(text) == {"HIGHEST"}


def test_texts_are_scored_on_the_device(weights) -> None:
    carry, tokens = np.zeros((1, 64), np.float32), np.zeros(programs.SCORED, np.int32)
    score = jax.jit(programs.score_program(SHAPE))
    text = cuda.lowered(score, weights["f32"], carry, tokens, np.int32(3), adaptation.no_text(1))
    cuda.check(text)
    assert cuda.precisions(text) == {"HIGHEST"}


def test_what_a_precision_costs_is_measured_on_the_device(weights) -> None:
    cost = jax.jit(programs.cost_program(SHAPE))
    text = cuda.lowered(cost, weights["f32"], weights["int8"], np.int32(1), np.uint32(0))
    cuda.check(text)
    assert cuda.precisions(text) == {"HIGHEST"}

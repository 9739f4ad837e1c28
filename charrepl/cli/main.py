"""charrepl: type, and a model finishes your line."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from charrepl.cli import (
    lsp_command,
    off_commands,
    serve_command,
    settings_commands,
    shell_commands,
    stats_command,
)
from charrepl.cli.exit_codes import Group, exit_codes, say
from charrepl.cli.options import (
    FilePath,
    FloatRange,
    assertiveness_option,
    debug_option,
    endpoint_option,
    given,
    json_option,
    model_option,
    plain_option,
    print_json,
    vi_option,
)
from charrepl.errors import CharreplError
from charrepl.system.standard_streams import echo
from charrepl.version import __version__

if TYPE_CHECKING:
    from charrepl.client import Client

# What a shell leaves as it is in quotes.
_ESCAPE = re.compile(r"\\[nrt]")
_BITS = 1 / 0.6931471805599453  # per nat


@click.group(cls=Group, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@model_option
@endpoint_option
@vi_option
@assertiveness_option
@plain_option
@click.option("--continue", "continue_", is_flag=True, help="Go on with the last text.")
@debug_option
@click.version_option(__version__, prog_name="charrepl")
@click.pass_context
@exit_codes
def main(
    context: click.Context,
    model: str,
    endpoint: str | None,
    vi: bool,
    assertiveness: str | None,
    plain: bool,
    continue_: bool,
    debug: bool,
) -> None:
    """Type, and a model finishes your line in grey. Tab takes it.

    Without a command, opens the prompt; where input or output is not a terminal, completes standard
    input instead.
    """
    if context.invoked_subcommand is not None:
        _hand_on(context, context.invoked_subcommand)
        return
    # A closed stream is None.
    if not (sys.stdin and sys.stdin.isatty() and sys.stdout and sys.stdout.isatty()):
        context.invoke(complete, text=None, model=model, endpoint=endpoint, debug=debug)
        return
    from charrepl.settings.settings import effective
    from charrepl.system import paths
    from charrepl.terminal.early_prompt import drawn_early, is_plain

    paths.check()
    chosen = effective(given(model, vi, assertiveness, plain)).settings
    lines_only = is_plain(chosen.plain, os.environ)
    with drawn_early(plain=lines_only) as give_back:
        # Takes most of the time until there is a prompt, and nothing else needs it.
        if lines_only:
            from charrepl.repl.plain import run
        else:
            from charrepl.repl.application import run
        code = run(chosen, endpoint=endpoint, go_on=continue_, take_terminal=give_back)
    context.exit(code)


def _hand_on(context: click.Context, name: str) -> None:
    """Gives a command the options before it. Options after it take precedence.

    Raises UsageError if it does not have one of them.
    """
    command = main.get_command(context, name)
    if command is None:
        return  # click says so
    own = {option: value for option, value in context.params.items() if value}
    unknown = own.keys() - {parameter.name for parameter in command.params}
    if unknown:
        raise click.UsageError(f"charrepl {name} has no option --{min(unknown).rstrip('_')}.", context)
    context.default_map = {name: own}


@main.command()
@click.argument("text", required=False)
@click.option("--chars", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="How many.")
@click.option("--temperature", type=FloatRange(0, 10), default=0.8, show_default=True, help="0 is greedy.")
@click.option("--top-k", type=click.IntRange(0, 65_536), default=0, help="Choose among the K likeliest.")
@click.option("--top-p", type=FloatRange(0, 1, min_open=True), default=1.0, help="Choose within this mass.")
@click.option("--greedy", is_flag=True, help="Always take the likeliest, as --temperature 0.")
@click.option("--beam", type=click.IntRange(1, 8), help="The likeliest text that B beams find.", metavar="B")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="The same seed gives the same text.")
@model_option
@endpoint_option
@json_option
@debug_option
@click.pass_context
@exit_codes
def complete(
    context: click.Context,
    text: str | None,
    chars: int = 200,
    temperature: float = 0.8,
    top_k: int = 0,
    top_p: float = 1.0,
    greedy: bool = False,
    beam: int | None = None,
    seed: int | None = None,
    model: str = "",
    endpoint: str | None = None,
    as_json: bool = False,
    debug: bool = False,
) -> None:
    """Print what comes after TEXT, or after standard input if it is `-` or left out; only that, not TEXT."""
    import secrets

    from charrepl.client import Client
    from charrepl.files import text_files
    from charrepl.settings import model_names
    from charrepl.wire.protocol import Decoding

    if beam:
        _refuse_beside_beam(context, chars)
    prompt = text_files.read(text_files.STANDARD_INPUT) if text in (None, "-") else text or ""
    if _ESCAPE.search(prompt) and "\n" not in prompt.strip():
        say(
            r"Hint: \n in quotes is a backslash and an n. For a new line, write $'ROMEO:\n', "
            r"or use printf 'ROMEO:\n' | charrepl complete"
        )
    chosen = model_names.chosen(model)
    if beam:
        with Client(model=chosen, endpoint=endpoint) as client:
            found = client.complete(prompt, max_chars=chars, stop="none", decoding=Decoding(beam=beam))
            _tell_default(client, chosen)
        if as_json:
            print_json({"text": found.text, "log_probability": sum(found.log_probs)})
            return
        echo(found.text)
        return
    decoding = Decoding(
        temperature=0.0 if greedy else temperature,
        top_k=top_k,
        top_p=top_p,
        seed=secrets.randbits(32) if seed is None else seed,
    )
    with Client(model=chosen, endpoint=endpoint) as client:
        pieces = client.sample(prompt, max_chars=chars, decoding=decoding)
        if as_json:
            print_json({"text": "".join(pieces), "seed": decoding.seed})
        else:
            for piece in pieces:
                echo(piece, end="")
            echo("")
        _tell_default(client, chosen)


def _tell_default(client: Client, chosen: str) -> None:
    """Says if no model was chosen and the last one trained cannot be loaded, so that another answered."""
    if not chosen:
        with contextlib.suppress(CharreplError):  # all is done
            notice = client.models().notice
            if notice:
                say(f"Note: {notice}")


def _refuse_beside_beam(context: click.Context, chars: int) -> None:
    """Raises UsageError for what has no meaning where the whole text is chosen at once."""
    for name in ("temperature", "top_k", "top_p", "greedy", "seed"):
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--" + name.replace("_", "-")
            raise click.UsageError(f"--beam looks for the likeliest text: leave out {option}.", context)
    if chars > 4096:
        raise click.UsageError("--beam finds a text of at most 4,096 characters: give --chars.", context)


@main.command()
@click.argument("file", required=False, type=FilePath())
@model_option
@endpoint_option
@json_option
@debug_option
@exit_codes
def score(file: Path | None, model: str, endpoint: str | None, as_json: bool, debug: bool) -> None:
    """Print how well the model predicts FILE, in bits per character; `-` or nothing is standard input."""
    from math import fsum

    from charrepl.client import Client
    from charrepl.files import text_files
    from charrepl.settings import model_names
    from charrepl.text import graphemes

    text = text_files.read(file or text_files.STANDARD_INPUT)
    if not text:
        raise CharreplError("there is nothing to score: give a text of one character or more")
    chosen = model_names.chosen(model)
    with Client(model=chosen, endpoint=endpoint) as client:
        nats = -fsum(client.score(text)) / graphemes.letters(text)
        _tell_default(client, chosen)
    if as_json:
        print_json({"characters": len(text), "bits_per_character": nats * _BITS, "nats_per_character": nats})
        return
    echo(f"{nats * _BITS:.4f} bits per character ({nats:.4f} nats), {len(text):,} characters")


@main.command("eval")
@click.argument("file", type=FilePath())
@click.option(
    "--limit", type=click.IntRange(1), default=20_000, show_default=True, help="Characters to type."
)
@click.option(
    "--shell", is_flag=True, help="FILE is a shell's history: type the commands of its latest tenth."
)
@click.option(
    "--baseline-corpus",
    type=FilePath(),
    help="What the model learnt from: for an n-gram, and for a history's suggestions.",
)
@model_option
@endpoint_option
@json_option
@debug_option
@exit_codes
def measure(
    file: Path,
    limit: int,
    shell: bool,
    baseline_corpus: Path | None,
    model: str,
    endpoint: str | None,
    as_json: bool,
    debug: bool,
) -> None:
    """Print how many keys the ghosts would save a writer of FILE, or of standard input for `-`."""
    from charrepl.client import Client
    from charrepl.evaluation import baselines, evaluation, shell_evaluation
    from charrepl.files import text_files
    from charrepl.settings import model_names

    if shell:
        if baseline_corpus:
            raise click.UsageError(
                "--shell has the rest of the history as its baseline: leave out --baseline-corpus"
            )
        chosen = model_names.chosen(model)
        history = shell_evaluation.read(file, limit)
        with evaluation.progress(history.characters) as stage:
            result = shell_evaluation.evaluate(history, model=chosen, endpoint=endpoint, stage=stage)
        if not endpoint and shell_evaluation.learnt(history, model_names.find(chosen)):
            say(
                "Note: this model has learnt these commands, so they look easier than new ones: for an "
                "honest figure, train another with last_pass = false under [training] in a --config file"
            )
        _print_result(result, shell_evaluation.table, as_json=as_json)
        return
    if file == baseline_corpus == text_files.STANDARD_INPUT:
        raise click.UsageError("standard input can be read only once: give - once")
    whole = text_files.read(file)
    text = whole[:limit]
    if not text:
        raise CharreplError(f"{text_files.Source(file)} is empty: give a text of one character or more")
    corpus = baselines.without(text_files.read(baseline_corpus), whole) if baseline_corpus else None
    chosen = model_names.chosen(model)
    with evaluation.progress(len(text)) as stage:
        result = evaluation.evaluate(text, corpus=corpus, model=chosen, endpoint=endpoint, stage=stage)
    with Client(model=chosen, endpoint=endpoint) as client:
        _tell_default(client, chosen)
    _print_result(result, evaluation.table, as_json=as_json)


def _print_result(
    result: dict[str, Any], table: Callable[[dict[str, Any]], Iterable[str]], *, as_json: bool
) -> None:
    if as_json:
        print_json(result)
        return
    for line in table(result):
        echo(line)


@main.command("models")
@endpoint_option
@json_option
@debug_option
@exit_codes
def list_models(endpoint: str | None, as_json: bool, debug: bool) -> None:
    """List the models that --model knows by name; * marks the one used without it."""
    from charrepl.settings import model_names

    if endpoint:
        from charrepl.client import Client

        with Client(endpoint=endpoint) as client:
            listed = client.models()
        default, found = model_names.chosen() or listed.default, listed.models
    else:
        default, found = model_names.chosen() or _default(), []
        for directory in model_names.installed():
            try:
                found.append(model_names.info(directory))
            except CharreplError as error:
                say(f"Error: {error}")
    if as_json:
        import msgspec

        print_json({"default": default, "models": msgspec.to_builtins(found)})
        return
    import wcwidth

    for model in found:
        mark = "*" if default in (model.name, model.path) else " "
        loss = f"held-out loss {model.held_out_loss:.4f}" if model.held_out_loss else "not measured"
        echo(
            f"{mark} {wcwidth.ljust(model.name, 20)} {model.layers} x {model.hidden_size}, "
            f"{model.characters} characters, {loss}"
        )


def _default() -> str:
    """The model used where none is chosen: the one that a running daemon has found, else by files alone."""
    from charrepl.client import Client, daemon_startup
    from charrepl.settings import model_names
    from charrepl.system import paths

    with contextlib.suppress(CharreplError):  # what it cannot say is not worth an error here
        if daemon_startup.is_listening(paths.endpoint()):
            with Client(autostart=False) as client:
                known = client.models()
            if known.notice:
                say(f"Note: {known.notice}")
            return known.default
    return model_names.default().name


_hosts = (serve_command.serve, lsp_command.lsp, *shell_commands.commands, stats_command.stats)
for _command in (*settings_commands.commands, *off_commands.commands, *_hosts):
    main.add_command(_command)

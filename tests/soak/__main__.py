"""A soak of the daemon: `make soak`, ten minutes, or `make soak MINUTES=3`.

Writers type, edit, paste, accept, and leave in the middle of an answer. In the first half the daemon is
killed, halted, stopped and has its models reloaded under them; the second half is one daemon's, so that
its memory and file descriptors can be watched. Each ghost is compared to that of an engine which reads
its text anew (DESIGN.md's margin rule). Ends with 1 if one differs, a request gets no answer or waits
long for it, or something grows.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import time

from charrepl.client import daemon_startup
from charrepl.settings import model_names
from charrepl.system import paths
from tests.bench.daemon_speed import places
from tests.soak.checking import Checker
from tests.soak.fault_injection import COMMAND, FaultInjection
from tests.soak.watching import Watch
from tests.soak.writers import Writer

CACHE_MB = 8  # little, so that carries are evicted all the time
GROWTH = 1.02
MOST_WAIT_S = 10.0  # beside floods, halts and reloads


def report(writers: list[Writer], checker: Checker, faults: FaultInjection, watch: Watch) -> bool:
    """Prints how it went; returns whether all was well."""
    answered = sum(writer.answered for writer in writers)
    left = sum(writer.left for writer in writers)
    waits = sorted(wait for writer in writers for wait in writer.waits)
    waits_after = max((wait for writer in writers for wait in writer.waits_after), default=(0.0, 0))
    print(
        f"{checker.checked:,} of {answered:,} ghosts checked: {len(checker.wrong)} differ from a fresh "
        f"engine's, {checker.close:,} only where two characters are within the margin"
    )
    print(f"{left:,} answers left in the middle; {faults.summary()}")
    lost = sum(writer.lost for writer in writers)
    print(
        f"{lost:,} answers lost to a daemon that was ended; the longest wait for the first one after it "
        f"{waits_after[0]:.1f} s, {waits_after[1]} times lost"
    )
    longest = waits[-1][0] if waits else 0.0
    if waits:
        print(
            f"all other waits: median {waits[len(waits) // 2][0]:.2f} s, 99 % "
            f"{waits[len(waits) * 99 // 100][0]:.2f}, longest {longest:.2f}"
        )
    for wait, what in waits[:-6:-1]:
        print(f"  {wait:.2f} s: {what}")
    grew = watch.report(GROWTH)
    problems = [problem for writer in writers for problem in writer.problems]
    for problem in [*checker.wrong, *problems][:10]:
        print("wrong:", problem)
    well = not (problems or checker.wrong or grew) and longest < MOST_WAIT_S
    return well and 0 < answered <= checker.checked


def main() -> None:
    """Runs it and prints the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--writers", type=int, default=6)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument(
        "--model", metavar="DIR", default=model_names.bundled_dir(), help="default: the bundled one"
    )
    arguments = parser.parse_args()
    seed = random.randrange(1 << 32) if arguments.seed is None else arguments.seed
    print(f"soak: {arguments.minutes:g} minutes, {arguments.writers} writers, seed {seed}", flush=True)
    with places(), contextlib.ExitStack() as stack:
        names = ["one", "two"]
        for name in names:
            shutil.copytree(arguments.model, paths.models_dir() / name)
        serving = ["--precision", "f32", "--cache-mb", str(CACHE_MB), "--max-models", "2", "--model", "one"]
        # Whoever finds none starts one as exact as the engine that it is compared to.
        start = daemon_startup._command
        daemon_startup._command = lambda **how: [*start(**how), *serving]
        stack.callback(subprocess.run, [*COMMAND, "stop"], stdout=subprocess.DEVNULL)
        subprocess.run([*COMMAND, "start", *serving], check=True, stdout=subprocess.DEVNULL)
        checker = Checker(paths.models_dir() / "one")
        writers = [
            Writer(
                f"writer-{n}",
                random.Random(seed + n),
                names,
                checker,
                lambda: faults.doing,
                lambda: faults.ended,
            )
            for n in range(arguments.writers)
        ]
        faults = FaultInjection(
            random.Random(seed - 1), serving, names, lambda: sum(writer.answered for writer in writers)
        )
        for writer in writers:
            writer.start()
        half = time.monotonic() + 30 * arguments.minutes
        while time.monotonic() < half:
            faults.step(everything=True)
        faults.begin_anew()
        watch = Watch()
        end = half + 30 * arguments.minutes
        while time.monotonic() < end:
            faults.step(everything=False)
            watch.look()
        for writer in writers:
            writer.leave.set()
        for writer in writers:
            writer.join(120)
        checker.finish()
        well = report(writers, checker, faults, watch)
    print("all is well" if well else "NOT well")
    sys.stdout.flush()
    os._exit(0 if well else 1)  # threads of JAX may still be compiling


if __name__ == "__main__":
    main()

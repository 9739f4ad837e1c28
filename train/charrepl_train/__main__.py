"""`charrepl-train`, and `python -m charrepl_train`."""

import os

from charrepl.system import interpreter


def run() -> None:
    """The command, in a process that has huge pages to compute in where the system offers them.

    It imports nothing from the directory it is run in.
    """
    interpreter.begin_program()
    from charrepl_train.cli import main
    from charrepl_train.devices import jax_setup

    if "_CHARREPL_TRAIN_COMPLETE" not in os.environ:  # a shell asks what Tab makes of a command line
        jax_setup.use_huge_pages()
    main(prog_name="charrepl-train")


if __name__ == "__main__":
    run()

"""`python -m charrepl_daemon`, for starting the daemon of this very interpreter."""

from charrepl_daemon.cli import main

main(prog_name="charrepl-daemon")

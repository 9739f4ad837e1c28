"""The daemon: keeps the compiled LSTM and every writer's carry in memory, behind a ZeroMQ socket."""

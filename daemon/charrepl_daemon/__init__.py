"""The daemon: keeps the jitted LSTM and every writer's carry warm behind a ZeroMQ socket."""

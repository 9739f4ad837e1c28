"""A model on disk: its checkpoints, what is loaded of them, and what its run says of itself.

The only place that knows Orbax. `run` writes it, `display` reads it, and the daemon shares `loaded_model`.
"""

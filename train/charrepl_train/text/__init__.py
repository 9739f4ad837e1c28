"""From text files to batches of ids: the corpus, the vocabulary and how characters are folded.

The daemon shares `vocabulary`. There is no JAX here.
"""

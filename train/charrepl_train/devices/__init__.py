"""What JAX runs on: the settings that every process of ours gives it, and one step on several devices.

The daemon shares `jax_setup`. Nothing here knows of models.
"""

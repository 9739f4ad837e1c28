"""JAX's devices: the settings that all our processes share, and one step on several devices.

The daemon shares `jax_setup`. Nothing here knows about models.
"""

"""`charrepl serve`: ghosts over HTTP, on loopback or a Unix socket, for the plugins of editors.

It speaks as llama.cpp's server and OpenAI's completions do, decides nothing about ghosts itself, and asks the
daemon through `suggestions`. Only the command line imports from here. Nothing here logs what is typed, or
imports JAX.
"""

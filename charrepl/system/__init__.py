"""The operating system as our programs meet it: how they start, standard streams, places for files.

Every room may import from here. It knows nothing of models, prompts or daemons, and imports only
`charrepl.text` and the errors.
"""

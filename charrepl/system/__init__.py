"""The operating system: how our programs start, standard streams, places for files.

Every folder may import from here. It knows nothing about models, prompts or daemons, and imports only
`charrepl.text` and the errors.
"""

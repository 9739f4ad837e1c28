"""`charrepl eval`: a simulated typist types a text, to see how many keys ghosts and baselines save.

Only `charrepl.cli` imports from here. It asks the daemon like any client.
"""

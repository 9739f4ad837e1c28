"""`charrepl eval`: a text typed by a simulated typist, and how many keys ghosts save, beside baselines.

Only `charrepl.cli` imports from here. It asks the daemon as any client does.
"""

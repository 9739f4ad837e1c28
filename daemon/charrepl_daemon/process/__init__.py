"""The daemon's process and what it owns on the machine: lock, socket, status file, log, memory, tasks.

Every folder of the daemon may import from here. It knows nothing about models or requests.
"""

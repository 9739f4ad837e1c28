"""One model and its caches, and the library of loaded models: from a text to the ghost that follows it.

`serving` uses it on the device's thread. It knows nothing about connections.
"""

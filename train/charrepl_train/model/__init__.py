"""The model: the LSTM layer, the network around it, and its parameters as a tree.

The daemon shares `lstm` and `parameters`. Nothing here trains.
"""

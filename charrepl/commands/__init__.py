"""Slash commands such as `/save`, `/model` and `/heat`: what they do and how they are completed.

The prompt runs them and gives them a `CommandHost`. They never import the prompt.
"""

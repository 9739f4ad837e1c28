"""Slash commands: `/save`, `/model`, `/heat` and the others, what they do and how they are completed.

The prompt runs them and gives them a `CommandHost`; they never import the prompt.
"""

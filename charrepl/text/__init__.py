"""Text as people see it: grapheme clusters, words, phrases, and characters that are safe to show.

Pure functions of strings, for every folder. Nothing here reads a file or imports other parts of charrepl.
"""

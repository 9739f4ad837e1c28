"""Text as people see it: grapheme clusters, words, phrases, and which characters are safe to show.

Pure functions of strings, for every room. Nothing here reads a file, and nothing of charrepl is imported.
"""

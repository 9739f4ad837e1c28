"""Files that belong to the user: text read in whatever encoding it has, and saved without losing anything.

The commands of all three programs read text through `text_files`. Nothing here knows of a session or a model.
"""

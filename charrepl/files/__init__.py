"""Files that belong to the user: text is read in any encoding, and saved without losing anything.

All three programs read text through `text_files`. Nothing here knows about sessions or models.
"""

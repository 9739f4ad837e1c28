"""Takes out of a text what people did not write in it: marks of mail, chats, Markdown and HTML.

Each kind is a file, and what it leaves out is counted by rule. Only what was asked for is changed; `markup`
only tells. Nothing here knows of models.
"""

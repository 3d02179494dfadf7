"""Drafts and scheduled tweets.

Owns: what people have written and not posted yet, and when it is to be posted.
Emits and reacts to: nothing. A draft is nobody's business but its author's; once it is posted, tweets.posted tells of it.
"""

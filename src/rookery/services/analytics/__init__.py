"""Analytics: so far, what people show interest in, as events that are kept.

Emits: interest.read, interest.profile_visited, interest.link_clicked.
"""

"""The Moderation Service.

Owns: reports, the lists of what is not allowed here, the audit log (tables `moderation_*`).
Emits: moderation.blocklist_changed.
Reacts to: its own event, to load a list that another process changed.
Accounts' states are the User Service's, tweets' standings the Tweet Service's: moderation asks both through their contracts. What
looks at new tweets and accounts (`screen.py`) lives beside those who ask it, and itself asks nobody: no cycle among services.
"""

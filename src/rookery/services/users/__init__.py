"""The User Service.

Owns accounts, credentials, sessions and when people were last active (tables `users_*`).
Emits users.registered, users.imported, users.changed, users.state_changed, users.session_revoked.
Reacts to its own events, to forget what another process changed.
"""

"""The User Service.

Owns accounts, credentials, sessions and when people were last active (tables `users_*`).
Emits users.registered, users.imported, users.changed, users.state_changed, users.erased, users.session_revoked.
Reacts to its own events, to forget what another process changed. Carries out erasing, for all services (`erasing.py`).
"""

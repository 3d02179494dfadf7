"""Leases: who is the server of a folder, and who issues ids as which node."""

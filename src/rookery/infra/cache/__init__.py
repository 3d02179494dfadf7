"""Caches: in process memory, and shared in Redis."""

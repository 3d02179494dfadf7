"""Caches in process memory."""

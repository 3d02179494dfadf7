"""Engines of cached timelines."""

"""Engines of what the User Live service keeps for a moment."""

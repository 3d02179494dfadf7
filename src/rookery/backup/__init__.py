"""Backups: the database of a network at one moment, in parts that are compressed and checksummed, under one place of objects.

Each backup is a path of its own: `<id>/part-000001`, …, and `<id>/manifest.json`, which is written last and removed first. So a
backup is there exactly when its manifest is.
"""

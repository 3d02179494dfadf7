"""Relational storage: transactions that share an fsync, point reads, scans, migrations."""

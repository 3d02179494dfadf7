"""Rookery: a self-hosted Twitter in one process."""

__version__ = "0.1.0"

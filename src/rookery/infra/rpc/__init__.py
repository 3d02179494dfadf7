"""Calls between services: how a contract's methods are marked."""

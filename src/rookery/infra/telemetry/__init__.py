"""Telemetry: figures for operators."""

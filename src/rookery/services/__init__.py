"""The services: one folder each, all of the same plan, each the owner of its data."""

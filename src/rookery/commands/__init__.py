"""The commands, a module for each subject. `rookery.cli` gives them their names.

Engines and services are imported where a command needs them, so that help is quick.
"""

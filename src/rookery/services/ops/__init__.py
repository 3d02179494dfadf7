"""The operators' view. It owns nothing; it asks the others and the infrastructure, and tells the services what an operator wants.

Emits ops.*; reacts to nothing.
"""

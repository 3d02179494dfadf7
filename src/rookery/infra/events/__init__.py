"""The event log: what happened, told to whoever reacts, at least once."""

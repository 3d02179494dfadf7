"""The Graph Service.

Owns who follows, blocks and mutes whom, requests to follow protected accounts, counts of followers, and fame (tables `graph_*`).
Emits graph.followed, graph.unfollowed, graph.follow_requested, graph.follow_request_ended, graph.blocked, graph.unblocked,
graph.muted, graph.unmuted, graph.follows_imported, graph.edges_erased, graph.became_famous, graph.ceased_famous.
Reacts to its own events, to forget what another process changed. States of accounts need no reaction: edges outlive them, and
readers ask for the state when they show somebody.
"""

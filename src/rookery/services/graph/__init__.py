"""The Graph Service.

Owns who follows, blocks and mutes whom, requests to follow protected accounts, counts of followers, fame, and what one person
chose for themselves: hashtags followed, conversations muted, words filtered (tables `graph_*`).
Emits graph.followed, graph.unfollowed, graph.follow_requested, graph.follow_request_ended, graph.blocked, graph.unblocked,
graph.muted, graph.unmuted, graph.follows_imported, graph.became_famous, graph.ceased_famous, graph.hashtag_followed,
graph.hashtag_unfollowed, graph.conversation_muted, graph.conversation_unmuted, graph.filters_changed, graph.edges_erased, graph.recounted.
Reacts to its own events, to forget what another process changed. States of accounts need no reaction: edges outlive them, and
readers ask for the state when they show somebody.
"""

"""The User Live service: streams of what happens to somebody, and who is there.

Owns: open streams, presence (who has one, or had one lately), and who lets it be seen.
Emits: live.came_online, live.went_offline.
Reacts to: timelines.delivered, tweets.*, notifications.*, graph.follows_imported, graph.recounted, users.*, and its own.
"""

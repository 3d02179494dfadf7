"""The Notification Service.

Owns: what was done that concerns somebody, in groups as it is listed, up to where they have read, and of whom they want to hear
(tables `notifications_*`).
Emits notifications.notified, notifications.read.
Reacts to what people do: tweets.posted, tweets.edited, tweets.moderated, tweets.retweeted, tweets.unretweeted, tweets.favorited,
tweets.unfavorited, graph.followed, graph.unfollowed, graph.follow_requested, graph.follow_request_ended. Deletions, blocks, mutes and
states of accounts need no reaction: every read asks for them.
"""

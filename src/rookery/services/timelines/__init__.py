"""The Tweet Processor and the Timeline Service.

Owns: cached home timelines and rankings, which can always be rebuilt; affinities: whose tweets people care about.
Emits: timelines.delivered (an entry, to live people), timelines.rebuild_requested (by operators).
Reacts to: tweets.posted, tweets.retweeted, tweets.imported, tweets.edited for its hashtags (fan-out), graph.became_famous,
graph.ceased_famous, users.erased;
tweets.posted (replies), tweets.retweeted, tweets.favorited, what undoes them, and interest.* (affinities).
Deletions, mutes, blocks and deactivations need no reaction: `visible` refuses them at the read.
"""

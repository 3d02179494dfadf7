"""Tweet Ingestion and the Tweet Service: writing and reading of one data set.

Owns: tweets and what they said before they were edited, their hashtags, retweets, favorites, bookmarks, their counts, idempotency
keys of posts.
Emits: tweets.posted, tweets.edited, tweets.deleted, tweets.retweeted, tweets.unretweeted, tweets.favorited, tweets.unfavorited,
tweets.imported, tweets.recounted, tweets.reply_hidden, tweets.quote_detached, tweets.moderated, tweets.unlinked. Bookmarks are nobody's business: no event tells of them.
Reacts to: its own events, from whichever process wrote them: cached tweets with older counts are forgotten.
States, blocks and protection need no reaction: `visible` asks the accounts and the viewer's edges at each read.
"""

"""Redis, as the engines of caches and timelines use it: scripts over keys of one shard."""

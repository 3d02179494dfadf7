"""Objects: bytes under a key, in a folder or a bucket."""

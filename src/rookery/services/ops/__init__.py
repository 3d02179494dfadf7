"""The operators' view. It owns nothing; it tells the services what an operator wants."""

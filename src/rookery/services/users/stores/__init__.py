"""What processes share of the User Service, by engine."""

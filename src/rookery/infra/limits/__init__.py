"""How often something may happen in a while: counted in process memory, or in Redis for several processes."""

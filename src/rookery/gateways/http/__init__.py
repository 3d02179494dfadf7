"""What the gateways that speak HTTP share: a request's trace and body, its errors, limits, languages, what people look at."""

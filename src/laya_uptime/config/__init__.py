"""Files and environment in, domain objects out."""

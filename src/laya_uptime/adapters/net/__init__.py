"""The one way out: a guarded dialer, TLS that keeps the evidence, and a small HTTP/1.1 client."""

"""What can be reached over HTTP: it asks the engine, never an adapter."""

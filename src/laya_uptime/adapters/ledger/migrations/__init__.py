"""The one chain of migrations, for every SQL backend."""

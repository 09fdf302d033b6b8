"""The world, one file per thing; neighbours never import each other."""

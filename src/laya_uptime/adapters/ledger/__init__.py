"""What every SQL store shares: the tables, their migrations, results as bytes, and the thread that writes."""

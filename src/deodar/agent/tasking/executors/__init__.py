"""What carries out tasks, a file for each kind."""

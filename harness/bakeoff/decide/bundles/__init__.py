"""What a run's verdict rests on as one file, and whether it holds."""

"""What would have to change: for the verdict to turn, and for one candidate to pass or to win."""

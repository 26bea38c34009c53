"""Where the answer holds: the winner over load, batch size and limit, and what would turn it."""

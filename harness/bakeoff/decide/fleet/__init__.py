"""The shop's fleet: many replicas simulated, what they cost, and what a day or a loss does to them."""

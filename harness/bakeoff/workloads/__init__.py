"""The models in question, with their requests, reference outputs and held-out data."""

"""The parts of decisions.py: what the tool decides, held against longer measuring, later hours and a real server."""

"""Runs side by side: of several hosts, by cost alone, and of one question then and now."""

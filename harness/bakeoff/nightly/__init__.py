"""The nightly check: the pinned baseline and what is here now, run side by side in rounds of fresh processes."""

"""The contest: from scenarios and installed backends to a run in the store. It drives the stages; it judges nothing."""

"""Proofs that the measuring can be trusted: each measures one claim and holds it against its bar."""

"""What a night's check found, for people and for other programs; each form by its name, into a file."""

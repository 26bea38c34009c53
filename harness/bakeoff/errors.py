"""The one error that a person's input can cause."""


class UserError(Exception):
    """Bad input: one clear line naming the file, the key, the value, and what would be right. The CLI exits 2 on it."""

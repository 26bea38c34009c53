"""The field of engines on a GPU and on the CPU beside it: what each takes for a request, by its number of items."""

"""What the table of engines is made of: each engine's bare loop, a process that plays it beside the plugin, the bars."""

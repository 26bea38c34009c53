"""What the tables of engines are made of: bare loops, a process that plays them beside the plugin, and the bars."""

"""Where events begin: what the kernel tells about processes and connections, as plain records."""

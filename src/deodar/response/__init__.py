"""Response: what a server may order an agent to do, and the words in which both speak of it."""

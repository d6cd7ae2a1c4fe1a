"""From what the kernel told to what an analyst reads: names, parents, hashes, unique ids."""

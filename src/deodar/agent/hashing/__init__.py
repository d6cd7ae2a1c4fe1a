"""Facts about files that take reading them whole: computed in a small process of their own."""

"""All of Deodar on one host: what ``deodar demo`` starts, prints and follows."""

"""One file for each change; a released file is never edited."""

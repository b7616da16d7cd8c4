//! Fifty real kills of a daemon under load, and what an independent reader finds in its files.

//! Shows what would be done instead of doing it.

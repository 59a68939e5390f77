//! Fakes for the actors' tests.

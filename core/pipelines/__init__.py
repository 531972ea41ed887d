"""Use cases: one function per verb, and the table of verbs."""

"""Measurements of the operator that can be repeated: each prints its figures, and none is ever typed into a document."""

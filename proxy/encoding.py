"""A value made legal in the part where it is written."""

"""The public half: seal values to the opening key, sign as the writer."""

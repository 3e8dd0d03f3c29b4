"""The grammar: find placeholder occurrences in a part of a request."""

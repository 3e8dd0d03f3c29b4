"""HTTP/1.1 with clients: a connection is one task that reads a request, has it carried, and writes the answer."""

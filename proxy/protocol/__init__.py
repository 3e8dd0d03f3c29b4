"""HTTP/1 and WebSocket as bytes, without I/O: what the engines of the forward proxy share."""

"""Data plane: puts secrets into outbound requests at the upstream connection and takes them out of what comes back."""

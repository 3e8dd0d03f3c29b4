"""The decision: a request head and a resolver give a plan or a refusal; pure."""

"""What may be believed, and why: a signed head, a hash tree below it, signed documents."""

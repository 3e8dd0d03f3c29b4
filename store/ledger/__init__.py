"""Changes of what is believed: one transaction writes rows, manifests, documents, tree, head and audit."""

"""Keys, what they seal and open, and how they are kept."""

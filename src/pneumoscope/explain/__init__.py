"""L6: explanation methods by name, and the panels that show them."""

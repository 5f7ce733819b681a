"""Between registries: a version is pushed and pulled whole. What one registry is stands in `models`."""

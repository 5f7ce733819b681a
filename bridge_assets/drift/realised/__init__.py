"""Published scores against the outcomes that are known by now."""

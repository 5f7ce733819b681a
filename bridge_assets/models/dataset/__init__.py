"""From features and transitions to the input of a forest: targets, the split, matrices."""

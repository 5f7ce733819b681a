"""From features and transitions to what a forest is trained on: targets, the split, matrices."""

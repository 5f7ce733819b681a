"""The loop that trains a challenger when there is something new to learn, and promotes it through the gate."""

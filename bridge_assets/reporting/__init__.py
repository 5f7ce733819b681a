"""What people read: the sheet for Looker and the condition report."""

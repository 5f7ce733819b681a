"""Named selections of the graph, and the jobs that roll an endpoint back."""

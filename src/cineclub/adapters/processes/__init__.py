"""Work of ours that runs in processes of its own."""

"""What is known of films beside their ratings, and how similar they are by it."""

"""Root and pose networks, and what they share."""

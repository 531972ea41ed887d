"""Root and pose networks, and their shared modules."""

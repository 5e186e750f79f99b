"""What the machine has: processor, memory, where caches may be kept."""

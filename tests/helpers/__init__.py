"""What several test files share: arrays written by other libraries, selections, destination buffers."""

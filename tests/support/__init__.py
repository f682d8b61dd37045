"""What tests on the real servers stand on."""

"""What leaves this machine: a student in a folder or on the hub, a student without torch, codes for other programs' databases."""

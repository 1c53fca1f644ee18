"""DCMQ, the paper in one folder: targets (Algorithm 1), quantizer (Eq. 2-5), losses (Eq. 6, 7), student, trainer, and how its codes
rank (§3.5)."""

"""Training that any method shares: epochs, checkpoints from which a run goes on to the same result, batches, random streams, Adam.
The goal of training is each method's own."""

"""What training any method takes: epochs, checkpoints from which a run goes on to the same result, batches, random streams, Adam.
What a method trains for is its own."""

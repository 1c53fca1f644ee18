"""The methods that are compared, one file each, and DCMQ, the subject, in a folder of its own."""

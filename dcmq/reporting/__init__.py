"""Tables, verdicts, figures and reports made of run records, the page over all of them, and the paper's numbers beside them."""

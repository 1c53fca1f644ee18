"""From run records to what people read: tables, verdicts, figures, reports, and the page over all of them, with the paper's numbers."""

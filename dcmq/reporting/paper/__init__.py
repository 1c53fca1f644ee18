"""The numbers that the paper prints, as data, and the one function that reads them."""

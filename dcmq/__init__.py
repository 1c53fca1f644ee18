"""DCMQ: a vision-language teacher distilled into product-quantized codes for image-text retrieval.

Data flows down this list; no module imports from a folder below its own.

core          errors, folders, files, registries, fingerprints of code
codes         codewords assigned, codes packed and scored; the index of a gallery, its engines, export
config        every setting: stated in the paper, inferred, or ours
data          data sets by name, their readers, the generated scenes; images decoded and resized, bags of words, splits
networks      encoders by name, the pair of them, what they are fed; CLIP's towers
teachers      frozen models by name, and their embeddings
training      the loop over epochs, batches, seeds, the optimizer
retrieval     what ranks, how well: metrics and paired tests
methods       the compared methods, one file each; DCMQ, the paper, in a folder of its own
experiments   parameters, plans, runs with keys and records, several at a time
search        a search of one's own images and texts
sharing       a student in a folder or on the hub, or without torch; codes for other programs
reporting     tables, verdicts, figures, reports, the page over them; the paper's numbers
explore       the explorer: search, failures and what was learnt, in a widget
studies       one module for each notebook
cli           the command ``dcmq``
"""

__version__ = "0.1.0"

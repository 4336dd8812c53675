"""Keeps the pairs of a data set that belong together: parquet in, parquet out, with the score.

    python filter_pairs.py pairs.parquet kept.parquet [--query query] [--document document] [--least 0.5] [--model DIR | --url URL]
"""
import argparse

import pyarrow.compute
import pyarrow.parquet

from rerankd.arrow import Scorer
from rerankd.tables import with_scores

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("input")
parser.add_argument("output")
parser.add_argument("--query", default="query")
parser.add_argument("--document", default="document")
parser.add_argument("--least", type=float, default=0.5)
parser.add_argument("--model")
parser.add_argument("--url")
given = parser.parse_args()

scorer, source, writer, seen, kept = Scorer(given.model, url=given.url), pyarrow.parquet.ParquetFile(given.input), None, 0, 0
for number in range(source.num_row_groups):
    table = with_scores(source.read_row_group(number), scorer, given.query, given.document, "score")
    good = table.filter(pyarrow.compute.greater_equal(table["score"], given.least))
    writer = writer or pyarrow.parquet.ParquetWriter(given.output, good.schema)
    writer.write_table(good)
    seen, kept = seen + table.num_rows, kept + good.num_rows
if writer:
    writer.close()
print(f"{kept} of {seen} pairs have a score of at least {given.least}")

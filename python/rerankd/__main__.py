"""python -m rerankd score: scores of pairs in parquet files. Any other command is the program's own.

    python -m rerankd score --input 'pairs/*.parquet' --output scores/ --query q --document d [--shard 3/16] [--model DIR | --url URL,URL]

A row group of the input becomes a file of the output, with all its columns and the score. A file is written under another name and renamed
when it is whole: a run that was ended goes on where it was, and no row is written twice. Shards share out the row groups among machines.
"""
from __future__ import annotations

import argparse
import glob
import hashlib
import os
import pathlib
import sys
import time


def _arguments(words):
    parser = argparse.ArgumentParser(prog="python -m rerankd score", description=(__doc__ or "\n\n").split("\n\n")[1],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", required=True, nargs="+", metavar="FILE", help="parquet files, or patterns")
    parser.add_argument("--output", required=True, type=pathlib.Path, metavar="DIR")
    parser.add_argument("--query", default="query", metavar="COLUMN")
    parser.add_argument("--document", default="document", metavar="COLUMN")
    parser.add_argument("--score", default="score", metavar="COLUMN", help="name of the column that is added")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="the K-th of N parts of the row groups")
    parser.add_argument("--model", metavar="DIR|ID", help="default: the built-in one")
    parser.add_argument("--url", metavar="URL[,URL]", help="of servers, instead of a model")
    parser.add_argument("--api-key", default=os.environ.get("RERANKD_API_KEY"), help="of the servers; default: RERANKD_API_KEY")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of docs/options.md: precision=int8")
    parser.add_argument("--raw-scores", action="store_true", help="logits instead of sigmoids")
    return parser.parse_args(words)


def _shard(text):
    part, _, parts = text.partition("/")
    if not part.isdigit() or not parts.isdigit() or not 1 <= int(part) <= int(parts):
        sys.exit(f"--shard {text}: expected K/N with K from 1 to N")
    return int(part) - 1, int(parts)


def _row_groups(patterns):
    """(file, number) of all row groups, the same on every machine."""
    import pyarrow.parquet

    files = sorted({path for pattern in patterns for path in (glob.glob(pattern) or [pattern])})
    for path in files:
        try:
            yield from ((path, number) for number in range(pyarrow.parquet.ParquetFile(path).num_row_groups))
        except (OSError, ValueError) as error:
            sys.exit(f"{path}: {error}")


def score(words):
    given = _arguments(words)
    try:
        import pyarrow.parquet
        from .arrow import Scorer
        from .tables import with_scores
    except ImportError as missing:
        sys.exit(f"{missing}: pip install 'rerankd[arrow]'")
    settings = dict(setting.partition("=")[::2] for setting in given.set)
    scorer = Scorer(given.model, url=given.url, api_key=given.api_key, raw_scores=given.raw_scores, **settings)
    # What scores depend on: files of another run must not be taken for this one's.
    what = hashlib.sha256(repr((given.query, given.document, given.score, given.model, given.url is not None, given.raw_scores,
                                sorted(settings.items()))).encode()).hexdigest()
    part, parts = _shard(given.shard)
    given.output.mkdir(parents=True, exist_ok=True)
    groups = [group for place, group in enumerate(_row_groups(given.input)) if place % parts == part]
    rows, begin = 0, time.monotonic()
    for done, (path, number) in enumerate(groups, 1):
        file = pyarrow.parquet.ParquetFile(path)
        # Files of one name in several folders stay apart.
        stem = f"{pathlib.Path(path).stem}-{hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:8]}"
        target = given.output / f"{stem}-{number:05}.parquet"
        if target.exists():
            made = pyarrow.parquet.read_schema(target).metadata or {}
            if made.get(b"rerankd") != what.encode():
                sys.exit(f"{target} is of other settings: choose another --output, or remove it")
            if pyarrow.parquet.read_metadata(target).num_rows == file.metadata.row_group(number).num_rows:
                continue
        try:
            table = with_scores(file.read_row_group(number), scorer, given.query, given.document, given.score)
        except ValueError as error:
            sys.exit(f"{path}, row group {number}: {error}")
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), b"rerankd": what.encode()})
        beside = target.with_suffix(f".{os.getpid()}.part")
        pyarrow.parquet.write_table(table, beside)
        os.replace(beside, target)
        rows += table.num_rows
        rate = rows / (time.monotonic() - begin)
        print(f"\r{done} of {len(groups)} row groups, {rate:,.0f} pairs/s ", end="", file=sys.stderr, flush=True)
    print(f"\n{rows} rows scored; {given.output} has {len(groups)} row groups of shard {given.shard}", file=sys.stderr)


def main():
    if sys.argv[1:2] == ["score"] and any(word.split("=")[0] in ("--input", "-h", "--help") for word in sys.argv[2:]):
        return score(sys.argv[2:])
    from .program import main as program
    return program()


if __name__ == "__main__":
    main()

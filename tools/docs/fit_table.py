#!/usr/bin/env python3
"""Writes the tables of docs/sizing.md and both READMEs: what models take, as `rerankd fit` says of their configurations.

Usage: tools/docs/fit_table.py [--program build/release/rerankd] [--write]      without --write the tables are printed

No weights are needed: each model is a folder with the fields of its config.json that say its shape, and an empty file of the size that its
weights have on the hub. Download and memory follow from them alone, and tests/docs holds the pages to them. The times for this machine are
measured by fit (a few layers, one engine), those for other numbers of cores are its estimates: run it where nothing else runs, or as `chrt -f 1 tools/docs/fit_table.py --write`.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE, READMES = ROOT / "docs/sizing.md", (ROOT / "README.md", ROOT / "README.zh-CN.md")
CORES = (2, 8, 32)
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}

_XLMR = dict(architectures=["XLMRobertaForSequenceClassification"], model_type="xlm-roberta", vocab_size=250002, type_vocab_size=1,
             pad_token_id=1, hidden_act="gelu", layer_norm_eps=1e-5)
_BASE = dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)
_LARGE = dict(hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096)
_ONE_LABEL = dict(id2label={"0": "LABEL_0"})
# What is public of each: the shape, the type of the numbers in its weights, and whether README shows it.
MODELS = {
    "cross-encoder/ms-marco-MiniLM-L6-v2": ("float32", True, dict(
        architectures=["BertForSequenceClassification"], model_type="bert", vocab_size=30522, hidden_size=384, num_hidden_layers=6,
        num_attention_heads=12, intermediate_size=1536, max_position_embeddings=512, type_vocab_size=2, hidden_act="gelu")),
    "Alibaba-NLP/gte-reranker-modernbert-base": ("float16", True, dict(
        architectures=["ModernBertForSequenceClassification"], model_type="modernbert", vocab_size=50368, hidden_size=768,
        num_hidden_layers=22, num_attention_heads=12, intermediate_size=1152, max_position_embeddings=8192, local_attention=128,
        global_attn_every_n_layers=3, global_rope_theta=160000.0, local_rope_theta=10000.0, classifier_pooling="mean",
        classifier_activation="gelu", hidden_activation="gelu", norm_bias=False, attention_bias=False, mlp_bias=False,
        classifier_bias=False, pad_token_id=50283, cls_token_id=50281, sep_token_id=50282)),
    "mixedbread-ai/mxbai-rerank-base-v1": ("float16", False, dict(
        architectures=["DebertaV2ForSequenceClassification"], model_type="deberta-v2", vocab_size=128100, max_position_embeddings=512,
        type_vocab_size=0, relative_attention=True, position_buckets=256, max_relative_positions=-1, norm_rel_ebd="layer_norm",
        pos_att_type=["p2c", "c2p"], share_att_key=True, position_biased_input=False, pooler_hidden_size=768, pooler_hidden_act="gelu",
        hidden_act="gelu", layer_norm_eps=1e-7, **_BASE)),
    "BAAI/bge-reranker-base": ("float32", True, dict(max_position_embeddings=514, **_XLMR, **_BASE)),
    "jinaai/jina-reranker-v2-base-multilingual": ("bfloat16", True, dict(
        max_position_embeddings=1026, auto_map={"AutoModelForSequenceClassification": "modeling_xlm_roberta.XLMRobertaForSequenceClassification"},
        position_embedding_type="absolute", use_flash_attn=True, **_XLMR, **_BASE)),
    "Alibaba-NLP/gte-multilingual-reranker-base": ("float16", False, dict(
        architectures=["NewForSequenceClassification"], model_type="new", vocab_size=250048, max_position_embeddings=8192, type_vocab_size=1,
        pad_token_id=1, hidden_act="gelu", layer_norm_eps=1e-12, layer_norm_type="layer_norm", pack_qkv=True, rope_theta=20000,
        position_embedding_type="rope", rope_scaling={"factor": 8.0, "type": "ntk"}, **_BASE)),
    "BAAI/bge-reranker-large": ("float32", False, dict(max_position_embeddings=514, **_XLMR, **_LARGE)),
    "BAAI/bge-reranker-v2-m3": ("float32", True, dict(max_position_embeddings=8194, **_XLMR, **_LARGE)),
    "mixedbread-ai/mxbai-rerank-base-v2": ("bfloat16", False, dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", vocab_size=151936, hidden_size=896, num_hidden_layers=24,
        num_attention_heads=14, num_key_value_heads=2, intermediate_size=4864, max_position_embeddings=32768, rope_theta=1000000.0,
        rms_norm_eps=1e-6, hidden_act="silu", tie_word_embeddings=True, use_sliding_window=False)),
    "Qwen/Qwen3-Reranker-0.6B": ("bfloat16", True, dict(
        architectures=["Qwen3ForCausalLM"], model_type="qwen3", vocab_size=151669, hidden_size=1024, num_hidden_layers=28,
        num_attention_heads=16, num_key_value_heads=8, head_dim=128, intermediate_size=3072, max_position_embeddings=40960,
        rope_theta=1000000.0, rms_norm_eps=1e-6, hidden_act="silu", attention_bias=False, tie_word_embeddings=True,
        use_sliding_window=False)),
}


def fit(program, folder, *flags):
    done = subprocess.run([program, "fit", folder, "--engine", "cpu", "--format", "json", *flags], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{folder}: {done.stderr}")
    return json.loads(done.stdout)


def lay_out(program, name, scratch):
    """A folder as `name` is on the hub, without the numbers."""
    dtype, _, config = MODELS[name]
    folder = pathlib.Path(scratch) / name.replace("/", "--")
    folder.mkdir()
    classes = {} if "CausalLM" in config["architectures"][0] else _ONE_LABEL
    (folder / "config.json").write_text(json.dumps({"torch_dtype": dtype, **classes, **config}))
    parameters = fit(program, folder, "--sizes-only")["parameters"]
    with open(folder / "model.safetensors", "wb") as weights:
        weights.truncate(parameters * BYTES[dtype])
    return folder


def row_of(program, folder, timed):
    """Download in MB; precision -> memory in GB; precision -> seconds of a question on CORES, or None where nothing was timed."""
    sizes = fit(program, folder, "--sizes-only")
    memory = {row["precision"]: row["memory_bytes"] / 1e9 for row in sizes["rows"]}
    seconds = None
    if timed:
        seconds = {}
        for precision in ("bf16", "int8"):
            row, = fit(program, folder, "--precision", precision, "--cores", ",".join(map(str, CORES)))["rows"]
            seconds[precision] = [at["question_seconds"] for at in row["lengths"][0]["estimated"]]
    return round(sizes["weight_bytes"] / 1e6), memory, seconds


def sizes_of(program, name):
    with tempfile.TemporaryDirectory() as scratch:
        return row_of(program, lay_out(program, name, scratch), timed=False)


def size_cells(download, memory):
    return [f"{download:,} MB", *(f"{memory[precision]:.1f}" for precision in ("fp32", "bf16", "int8"))]


def shown(seconds):
    return "<0.1" if seconds < 0.05 else f"{seconds:.1f}" if seconds < 10 else f"{seconds:.0f}"


def tables(program):
    """The long table's rows, and README's."""
    long, short = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for name in MODELS:
            download, memory, seconds = row_of(program, lay_out(program, name, scratch), timed=True)
            times = [f"{shown(seconds['bf16'][at])} / {shown(seconds['int8'][at])} s" for at in range(len(CORES))]
            long.append("| " + " | ".join([name, *size_cells(download, memory), *times]) + " |")
            if MODELS[name][1]:
                short.append("| " + " | ".join([name, f"{download:,} MB", f"{memory['bf16']:.1f} GB", *times]) + " |")
            print(long[-1], file=sys.stderr, flush=True)
    return "\n".join(long), "\n".join(short)


def replaced(text, rows):
    """`text` with these rows in its table, the one whose first heading names `rerankd fit`."""
    found = re.sub(r"(^\| [^|\n]*`rerankd fit`[^\n]*\n\|[-|]+\|\n)(?:\|[^\n]*\n)*", lambda head: head[1] + rows + "\n", text, flags=re.M)
    if rows not in found:
        sys.exit("the page has no such table")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(ROOT / "build/release/rerankd"))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    long, short = tables(arguments.program)
    if arguments.write:
        for page, rows in ((PAGE, long), *((readme, short) for readme in READMES)):
            page.write_text(replaced(page.read_text(), rows))
    else:
        print(long, short, sep="\n\n")


if __name__ == "__main__":
    main()

"""The programs that decoders.py compares: each opens Qwen3-Reranker's shape from a folder and gives a function of ids, [documents, length]."""
import copy
import json
import math
import pathlib
import subprocess
import sys

import numpy
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parents[2]
PREFIX, SUFFIX, BATCH = 75, 9, 8
YES, NO = 9693, 2152
KEPT = []


def scores(out):
    return (out.logits[:, -1, YES] - out.logits[:, -1, NO]).float().tolist()


def load_torch(folder, kind):
    return transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind, attn_implementation="sdpa").eval()


def in_batches(compute):
    """Of ids, a tensor [documents, length]."""
    def run(ids):
        logits = []
        with torch.inference_mode():
            for first in range(0, len(ids), BATCH):
                logits += compute(ids[first:first + BATCH])
        return logits
    return run


def torch_peer(folder, kind):
    model = load_torch(folder, kind)
    return in_batches(lambda ids: scores(model(input_ids=ids, logits_to_keep=1)))


def shared_peer(folder):
    model = load_torch(folder, torch.bfloat16)

    def run(ids):
        logits = []
        with torch.inference_mode():
            kept = model(input_ids=ids[:1, :PREFIX], use_cache=True, logits_to_keep=1).past_key_values
            for first in range(0, len(ids), BATCH):
                own = ids[first:first + BATCH, PREFIX:]
                cache = copy.deepcopy(kept)
                cache.batch_repeat_interleave(len(own))
                positions = torch.arange(PREFIX, ids.shape[1])[None]
                logits += scores(model(input_ids=own, past_key_values=cache, position_ids=positions, logits_to_keep=1))
        return logits
    return run


class Plain(torch.nn.Module):
    """The forward pass without what a converter stumbles over: no cache, no masks but the causal one, one answer."""

    def __init__(self, model):
        super().__init__()
        self.model, self.config = model.model, model.config
        words = model.model.embed_tokens.weight
        self.answer = torch.nn.Parameter(words[YES] - words[NO])

    def forward(self, ids):
        c = self.config
        x = self.model.embed_tokens(ids)
        batch, length = ids.shape
        steps = torch.arange(0, c.head_dim, 2, dtype=torch.float32) / c.head_dim
        angles = torch.arange(length, dtype=torch.float32)[:, None] * (c.rope_parameters["rope_theta"] ** -steps)[None]
        cos, sin = (torch.cat([part, part], -1)[None, None] for part in (angles.cos(), angles.sin()))

        def turned(heads):
            low, high = heads.chunk(2, -1)
            return heads * cos + torch.cat([-high, low], -1) * sin

        for layer in self.model.layers:
            attention, h = layer.self_attn, layer.input_layernorm(x)
            query = turned(attention.q_norm(attention.q_proj(h).view(batch, length, -1, c.head_dim)).transpose(1, 2))
            key = turned(attention.k_norm(attention.k_proj(h).view(batch, length, -1, c.head_dim)).transpose(1, 2))
            value = attention.v_proj(h).view(batch, length, -1, c.head_dim).transpose(1, 2)
            group = c.num_attention_heads // c.num_key_value_heads
            key, value = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1)
            mixed = torch.nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
            x = x + attention.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        return self.model.norm(x[:, -1]) @ self.answer


def openvino_peer(folder, int8):
    import openvino

    plain = Plain(load_torch(folder, torch.float32))
    with torch.inference_mode():
        converted = openvino.convert_model(plain, example_input=torch.zeros((BATCH, 100), dtype=torch.int64))
    settings = {"INFERENCE_PRECISION_HINT": "bf16", "INFERENCE_NUM_THREADS": 2, "PERFORMANCE_HINT": "LATENCY"}
    if int8:
        import nncf
        converted = nncf.compress_weights(converted, mode=nncf.CompressWeightsMode.INT8_ASYM)
        settings["DYNAMIC_QUANTIZATION_GROUP_SIZE"] = "32"
    compiled = openvino.Core().compile_model(converted, "CPU", settings)
    return in_batches(lambda ids: compiled(ids.numpy())[0].reshape(-1).tolist())


def save_genai_folder(folder, out):
    """The model and a tokenizer that reads token 17 from the word "t17", as files of OpenVINO GenAI."""
    import openvino
    import openvino_tokenizers
    from tokenizers import Tokenizer, models, pre_tokenizers

    class Named(torch.nn.Module):
        def __init__(self, model):
            super().__init__()
            self.plain = Plain(model)

        def forward(self, input_ids, attention_mask):  # all are of one length: the mask says nothing, but the pipeline gives one
            return (self.plain(input_ids) + 0 * attention_mask[:, 0]).reshape(-1, 1)

    example = {name: torch.ones((BATCH, 100), dtype=torch.int64) for name in ("input_ids", "attention_mask")}
    with torch.inference_mode():
        converted = openvino.convert_model(Named(load_torch(folder, torch.float32)), example_input=example)
    converted.outputs[0].set_names({"logits"})
    answers = {YES: "##yes", NO: "##no"}  # the pipeline looks for these two; a WordPiece decoder joins what begins otherwise to a space
    words = {answers.get(token, f"t{token}"): token for token in range(151669)}
    tokenizer = Tokenizer(models.WordPiece(words, unk_token="t0", max_input_chars_per_word=20))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="t0", padding_side="left")
    out.mkdir()
    encoder, decoder = openvino_tokenizers.convert_tokenizer(fast, with_detokenizer=True)
    for graph, name in ((converted, "model"), (encoder, "tokenizer"), (decoder, "detokenizer")):
        openvino.save_model(graph, out / f"openvino_{name}.xml", compress_to_fp16=False)
    (out / "config.json").write_text(json.dumps({"model_type": "qwen3"}))


def genai_peer(folder):
    import openvino_genai

    out = pathlib.Path(folder) / "genai"
    save_genai_folder(folder, out)
    pipeline = openvino_genai.TextRerankPipeline(str(out), "CPU", top_n=BATCH, INFERENCE_PRECISION_HINT="bf16", INFERENCE_NUM_THREADS=2)

    def compute(ids):
        found = sorted(pipeline.rerank("", [" ".join(f"t{token}" for token in row) for row in ids.tolist()]))
        return [math.log(score / (1 - score)) for _, score in found]  # it gives the sigmoid
    return in_batches(compute)


def onnxruntime_peer(folder, int8):
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph = pathlib.Path(folder) / "onnx"
    if not graph.exists():
        subprocess.run([ROOT / "build/release/rerankd", "convert", folder, graph, "--to", "onnx"], check=True)
    path = graph / "model.onnx"
    if int8:
        path = graph / "int8.onnx"
        quantize_dynamic(graph / "model.onnx", path, per_channel=True, weight_type=QuantType.QInt8, use_external_data_format=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return in_batches(lambda ids: session.run(None, {"input_ids": ids.numpy(), "attention_mask": numpy.ones(ids.shape, numpy.int64)})[0][:, 0].tolist())


def write_gguf(folder, path, kind):
    """As llama.cpp's converter lays out Qwen3-Reranker: rank pooling, the rows of the two answers as cls.output."""
    import gguf

    model = load_torch(folder, torch.float32)
    c, writer = model.config, gguf.GGUFWriter(path, "qwen3")
    writer.add_context_length(c.max_position_embeddings)
    writer.add_embedding_length(c.hidden_size)
    writer.add_block_count(c.num_hidden_layers)
    writer.add_feed_forward_length(c.intermediate_size)
    writer.add_head_count(c.num_attention_heads)
    writer.add_head_count_kv(c.num_key_value_heads)
    writer.add_key_length(c.head_dim)
    writer.add_value_length(c.head_dim)
    writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(c.rms_norm_eps)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    writer.add_classifier_output_labels(["yes", "no"])
    writer.add_tokenizer_model("none")
    writer.add_vocab_size(c.vocab_size)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN3, c.num_hidden_layers)
    state = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    words = state["model.embed_tokens.weight"]
    tensors = {names.get_name(name, try_suffixes=(".weight", ".bias")): tensor for name, tensor in state.items()}
    tensors["cls.output.weight"] = torch.stack([words[YES], words[NO]])
    for name, tensor in tensors.items():
        used = gguf.GGMLQuantizationType.F32 if tensor.dim() == 1 else kind
        writer.add_tensor(name, gguf.quants.quantize(tensor.numpy(), used), raw_dtype=used)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_peer(folder, kind):
    import gguf
    import llama_cpp as llama

    path = f"{folder}/{kind}.gguf"
    write_gguf(folder, path, gguf.GGMLQuantizationType[kind.upper()])
    quiet = llama.llama_log_callback(lambda *_: None)
    KEPT.append(quiet)  # the library holds no reference
    llama.llama_log_set(quiet, None)
    llama.llama_backend_init()
    wanted = llama.llama_model_default_params()
    wanted.n_gpu_layers = 0
    model = llama.llama_model_load_from_file(path.encode(), wanted)
    settings = llama.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 2048
    settings.n_threads = settings.n_threads_batch = 2
    settings.embeddings = True
    settings.pooling_type = llama.LLAMA_POOLING_TYPE_RANK
    context = llama.llama_init_from_model(model, settings)
    if not model or not context:
        sys.exit("llama.cpp does not open its file")

    def one(ids):
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        tokens = (llama.llama_token * len(ids))(*ids)  # the batch only points to them
        batch = llama.llama_batch_get_one(tokens, len(ids))
        if llama.llama_decode(context, batch) != 0:
            sys.exit("llama.cpp does not compute a document")
        yes = llama.llama_get_embeddings_seq(context, 0)[0]
        return math.log(yes / (1 - yes))  # it gives the softmax of the two

    return lambda ids: [one(row.tolist()) for row in ids]


PEERS = {"fp32": lambda folder: torch_peer(folder, torch.float32), "bf16": lambda folder: torch_peer(folder, torch.bfloat16),
         "shared": shared_peer, "openvino": lambda folder: openvino_peer(folder, False),
         "openvino-int8": lambda folder: openvino_peer(folder, True), "genai": genai_peer, "ort": lambda folder: onnxruntime_peer(folder, False),
         "ort-int8": lambda folder: onnxruntime_peer(folder, True), "llama-f16": lambda folder: llama_peer(folder, "f16"),
         "llama-q8_0": lambda folder: llama_peer(folder, "q8_0")}

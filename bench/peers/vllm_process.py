"""vLLM on a CPU as a process: computes a list of token ids for each line of JSON. Started by decoders.py with .venv-vllm/bin/python.

Answers {"seconds": ..., "logits": [...]}. Prompts share cached blocks of 32 tokens within a line; the cache is emptied before each.
"""
import json
import math
import os
import sys
import time

os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_KVCACHE_SPACE="2", VLLM_CPU_OMP_THREADS_BIND="nobind", OMP_NUM_THREADS="2",
                  VLLM_LOGGING_LEVEL="ERROR", VLLM_NO_USAGE_STATS="1", HF_HUB_OFFLINE="1")


def main():
    answers = os.dup(1)
    os.dup2(2, 1)  # vLLM prints to stdout
    from vllm import LLM

    reranker = {"architectures": ["Qwen3ForSequenceClassification"], "classifier_from_token": ["no", "yes"], "is_original_qwen3_reranker": True}
    llm = LLM(sys.argv[1], runner="pooling", dtype="bfloat16", max_model_len=2048, block_size=32, enable_prefix_caching=True, hf_overrides=reranker)
    for line in sys.stdin:
        prompts = [{"prompt_token_ids": ids} for ids in json.loads(line)]
        llm.reset_prefix_cache()
        begin = time.perf_counter()
        found = [answer.outputs.probs[0] for answer in llm.classify(prompts, use_tqdm=False)]
        seconds = time.perf_counter() - begin
        logits = [math.log(score / (1 - score)) for score in found]  # it gives the sigmoid
        os.write(answers, (json.dumps({"seconds": seconds, "logits": logits}) + "\n").encode())


if __name__ == "__main__":
    main()

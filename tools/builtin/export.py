"""Write the finished model folder: fp16 weights, configuration, tokenizer.

With --calibrate the logit's scale and zero point are first fitted on the validation sets so that
the sigmoid of a relevant passage is above one half and of the others below, classes weighed alike
(both constants go into the classifier's weight and bias; no ranking changes).
"""
import json
import pathlib
import shutil

import data
import model as nets
import torch
import validate
from safetensors.torch import save_file


def fit(scores, labels):
    """Scale and bias by weighted logistic regression."""
    scale, bias = torch.ones(1, requires_grad=True), torch.zeros(1, requires_grad=True)
    weight = torch.where(labels > 0, 0.5 / labels.mean(), 0.5 / (1 - labels).mean())
    search = torch.optim.LBFGS([scale, bias], lr=0.5, max_iter=100)

    def closure():
        search.zero_grad()
        value = torch.nn.functional.binary_cross_entropy_with_logits(scores * scale + bias, labels, weight=weight)
        value.backward()
        return value

    search.step(closure)
    return scale.item(), bias.item()


def calibrate(args, model, tokenizer):
    check, scores, labels = validate.Validation(args), [], []
    for name, pairs, texts, judge, _, _ in check.parts:
        if name != "liveqa-med":  # grades, not yes or no
            scores.extend(nets.score(model, tokenizer, texts, 160).tolist())
            truth = data.qrels(args.data, name, next(split for part, split, _ in validate.PARTS if part == name))
            labels.extend(float(truth.get(query, {}).get(doc, 0) > 0) for query, doc in pairs)
    scale, bias = fit(torch.tensor(scores), torch.tensor(labels))
    right = [(s * scale + bias > 0) == (t > 0) for s, t in zip(scores, labels)]
    print(f"scale {scale:.3f}, bias {bias:.3f}; {sum(right) / len(right):.1%} of {len(right)} validation pairs on the right side")
    with torch.no_grad():
        model.classifier.weight.mul_(scale)
        model.classifier.bias.mul_(scale).add_(bias)


def main():
    parser = data.options(__doc__)
    parser.add_argument("--model", default=".cache/builtin/run/averaged", help="trained folder")
    parser.add_argument("--tokenizer", default=".cache/builtin/start", help="folder with the tokenizer")
    parser.add_argument("--out", default="models/rerankd-mini-en")
    parser.add_argument("--calibrate", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    out, source = pathlib.Path(args.out), pathlib.Path(args.tokenizer)
    out.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copyfile(source / name, out / name)
    trained = pathlib.Path(args.model)
    if not (trained / "tokenizer.json").exists():
        shutil.copyfile(source / "tokenizer.json", trained / "tokenizer.json")
    model, tokenizer = nets.load(trained)
    if args.calibrate:
        calibrate(args, model, tokenizer)
    state = {name: value.half().contiguous() for name, value in model.state_dict().items() if value.is_floating_point()}
    save_file(state, out / "model.safetensors", metadata={"format": "pt"})
    config = model.config.to_dict()
    wanted = ("architectures", "model_type", "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads",
              "intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size", "layer_norm_eps",
              "pad_token_id", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range", "classifier_dropout")
    short = {name: config.get(name) for name in wanted}
    short.update(architectures=["BertForSequenceClassification"], position_embedding_type="absolute", dtype="float16",
                 hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,
                 id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    # Chosen on validation (docs/builtin-model.md); other libraries pass over it.
    short["rerankd"] = {"max_length": 256, "truncation": "query-aware"}
    (out / "config.json").write_text(json.dumps(short, indent=2) + "\n")
    size = sum(path.stat().st_size for path in out.iterdir() if path.is_file())
    print(f"{out}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

"""Train the cross-encoder on WORK/lists.jsonl.gz, starting from WORK/start.

Loss of a list: cross-entropy of the softmax over its passages against the label, the divergence
from the teachers' softmax (bi-encoder cosine, BM25 and the model that training starts from: what it
knows is kept, and BM25's part added), and a small binary cross-entropy that gives the logit a zero point. In some lists a word of the
query is renamed in all texts, so that matching words counts also where the word was never seen.
Linear probes after the earlier layers follow the teachers too and are thrown away at the end: what they
leave there is what the exits of `rerankd calibrate` read. The schedule counts steps, so a run stopped at any time
continues with the same command and ends at the same model. The forward and backward passes run
in bf16 throughout on a copy of the fp32 weights: twice as fast as autocast on a CPU with AMX.
"""
import functools
import gzip
import json
import pathlib
import random
import re
import shutil

import data
import model as nets
import torch
import torch.nn.functional as F
import validate
from tqdm import tqdm

CAPS = "0.6:72,0.92:120,1:192"  # up to this share of the steps : tokens per pair


def targets(batch, args):
    parts = {name: torch.tensor([item[name] for item in batch]) for name in args.teachers}
    return args.sharpness * sum(weight * parts[name] for name, weight in args.teachers.items())


class Earlier:
    """A trained model with the same tokenizer as a teacher: its logits, standardised by their deviation within a list."""

    def __init__(self, folder):
        self.model, _ = nets.load(folder)
        self.model.bfloat16().eval()
        self.sum = self.lists = 0.0

    @torch.no_grad()
    def score(self, encoded, batch):
        found = nets.logits(self.model, encoded).view(len(batch), -1)
        self.sum += found.var(-1).sum().item()
        self.lists += len(batch)
        for item, scores in zip(batch, found / (self.sum / self.lists) ** 0.5):
            item["cross"] = scores.tolist()


def teachers(text):
    """{name of a field of the lists: weight} of NAME:WEIGHT,..."""
    return {name: float(weight) for name, weight in (part.split(":") for part in text.split(","))}


def renamed(query, docs, rng, words):
    """The texts with one word of the query (and words that begin like it) replaced by another one."""
    found = [word for word in re.findall(r"[A-Za-z]{5,}", query)]
    if not found:
        return query, docs
    stem = rng.choice(found)
    stem = stem[:max(4, len(stem) - 2)]
    other = rng.choice(words)
    pattern = re.compile(r"\b" + re.escape(stem), re.IGNORECASE)
    return pattern.sub(other, query), [pattern.sub(other, doc) for doc in docs]


def divergence(scores, wanted):
    return F.kl_div(scores.log_softmax(-1), wanted.softmax(-1), reduction="none").sum(-1).mean()


def loss_of(all_scores, batch, args):
    """all_scores: [lists, passages, layers], the model's own logit last"""
    scores, wanted = all_scores[..., -1], targets(batch, args)
    known = [i for i, item in enumerate(batch) if item["labels"]]
    follow = divergence(scores, wanted)
    for layer in range(all_scores.shape[-1] - 1):
        early = all_scores[..., layer]
        follow = follow + args.early * (divergence(early, wanted) + divergence(early, scores.detach()))
    if not known:
        return args.follow * follow
    part = scores[known]
    labels = torch.tensor([batch[i]["labels"] for i in known], dtype=torch.float32)
    pick = -(part.log_softmax(-1) * labels).sum(-1).mean() * len(known) / len(batch)
    weight = 1 + labels * 2
    zero = F.binary_cross_entropy_with_logits(part, labels, weight=weight) * len(known) / len(batch)
    return pick + args.follow * follow + args.zero * zero


def rate(step, steps, args):
    if step < args.warmup:
        return args.lr * (step + 1) / args.warmup
    return args.lr * max(0.02, (steps - step) / (steps - args.warmup))


class Weights:
    """fp32 weights and their optimizer; `model` becomes a bf16 copy that is written anew after each step."""

    def __init__(self, model, lr):
        self.model = model
        self.full = {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}
        model.bfloat16()
        groups = [{"params": [v for v in self.full.values() if (v.ndim > 1) == matrix], "weight_decay": decay}
                  for matrix, decay in ((True, 0.01), (False, 0.0))]
        self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98), fused=True)

    def update(self, rate):
        for name, copy in self.model.named_parameters():
            self.full[name].grad = copy.grad.float()
            copy.grad = None
        torch.nn.utils.clip_grad_norm_(self.full.values(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.write()

    def write(self):
        with torch.no_grad():
            for name, copy in self.model.named_parameters():
                copy.copy_(self.full[name])

    def average(self, kept, decay):
        with torch.no_grad():
            for name, value in self.full.items():
                kept[name].lerp_(value, 1 - decay)

    def state(self):
        return {"weights": {name: value.detach() for name, value in self.full.items()}, "optimizer": self.optimizer.state_dict()}

    def restore(self, saved):
        with torch.no_grad():
            for name, value in self.full.items():
                value.copy_(saved["weights"][name])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.write()


def main():
    parser = data.options(__doc__)
    parser.add_argument("--name", default="run", help="the run's folder under WORK")
    parser.add_argument("--start", default="start", help="folder under WORK to start from")
    parser.add_argument("--lists", type=int, default=24000, help="lists seen in all (may pass the data several times)")
    parser.add_argument("--stop", type=int, default=0, help="stop early after this many steps")
    parser.add_argument("--first", type=int, default=0, help="begin with this list of the file (a later stage)")
    parser.add_argument("--caps", default=CAPS, help="SHARE:TOKENS,... the longest pair by share of the steps done")
    parser.add_argument("--batch", type=int, default=12, help="lists per step")
    parser.add_argument("--lr", type=float, default=1.5e-4)
    parser.add_argument("--warmup", type=int, default=80, help="steps")
    parser.add_argument("--follow", type=float, default=1.0, help="weight of the teachers' divergence")
    parser.add_argument("--zero", type=float, default=0.3, help="weight of the binary cross-entropy")
    parser.add_argument("--teachers", type=teachers, default="cosine:0.7,bm25:1,cross:1",
                        help="NAME:WEIGHT,... of the lists' scores (cosine, bm25) and of a trained model (cross)")
    parser.add_argument("--cross", help="folder of that model, with the same tokenizer (default: the one to start from)")
    parser.add_argument("--sharpness", type=float, default=1.2, help="inverse temperature of the teachers")
    parser.add_argument("--early", type=float, default=0.15, help="weight of each probe's divergences")
    parser.add_argument("--renamed", type=float, default=0.25, help="share of the lists in which a word is renamed")
    parser.add_argument("--decay", type=float, default=0.995, help="of the averaged weights")
    parser.add_argument("--every", type=int, default=250, help="steps between validations and checkpoints")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    work = pathlib.Path(args.work)
    out = work / args.name
    out.mkdir(parents=True, exist_ok=True)

    with gzip.open(work / "lists.jsonl.gz", "rt", encoding="utf-8") as stream:
        records = [json.loads(line) for line in stream]
    size = max(len(item["docs"]) for item in records)
    records = [item for item in records if len(item["docs"]) == size]

    @functools.lru_cache(2)
    def order(turn, seed):
        return random.Random(seed + turn).sample(range(len(records)), len(records))

    texts = data.pooled_corpus(args.data, [name for name, origin in data.ORIGINS.items() if origin[0] == "train"])
    unusual = sorted({word for text in list(texts.values())[::50] for word in re.findall(r"[a-z]{6,12}", text)})
    model, tokenizer = nets.load(work / args.start, dropout=0.0, attention="eager")
    model.probes = torch.nn.ModuleList(torch.nn.Linear(3 * model.config.hidden_size, 1) for _ in range(model.config.num_hidden_layers - 1))
    earlier = Earlier(args.cross or work / args.start) if "cross" in args.teachers else None
    weights = Weights(model, args.lr)
    kept = {name: value.float() for name, value in model.state_dict().items()}
    step, steps = 0, args.lists // args.batch
    caps = [part.split(":") for part in args.caps.split(",")]
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        saved = torch.load(checkpoint)
        weights.restore(saved)
        kept, step = saved["kept"], saved["step"]
    check = validate.Validation(args)
    log = open(out / "log.jsonl", "a", encoding="utf-8")
    if step == 0:
        log.write(json.dumps({"step": 0, "bm25": check.baseline()}) + "\n")
    averaged, _ = nets.load(work / args.start)

    def save():
        averaged.float().load_state_dict({name: value for name, value in kept.items() if not name.startswith("probes.")})
        averaged.save_pretrained(out / "averaged")
        shutil.copyfile(work / args.start / "tokenizer.json", out / "averaged" / "tokenizer.json")
        found = check(averaged.bfloat16(), tokenizer)
        log.write(json.dumps({"step": step, "validation": {k: round(v, 4) for k, v in found.items()}}) + "\n")
        log.flush()
        part = checkpoint.with_suffix(".part")
        torch.save({**weights.state(), "kept": kept, "step": step}, part)
        part.replace(checkpoint)
        return found["mean"]

    bar = tqdm(total=steps, initial=step, desc=args.name, mininterval=5)
    running = 0.0
    while step < steps and not (args.stop and step >= args.stop):
        places = range(args.first + step * args.batch, args.first + (step + 1) * args.batch)
        batch = [records[order(place // len(records), args.seed)[place % len(records)]] for place in places]
        cap = next(int(tokens) for share, tokens in caps if step < float(share) * steps)
        pairs = []
        for place, item in zip(places, batch):
            query, docs = item["query"], [texts[doc] for doc in item["docs"]]
            rng = random.Random(args.seed * 1_000_003 + place)
            if rng.random() < args.renamed:
                query, docs = renamed(query, docs, rng, unusual)
            pairs.extend((query, doc) for doc in docs)
        encoded = nets.encode(tokenizer, pairs, cap)
        if earlier:
            earlier.score(encoded, batch)
        model.train()
        loss = loss_of(nets.logits(model, encoded).view(len(batch), size, -1), batch, args)
        loss.backward()
        weights.update(rate(step, steps, args))
        weights.average(kept, min(args.decay, (step + 1) / (step + 10)))
        step += 1
        running = loss.item() if running == 0 else 0.98 * running + 0.02 * loss.item()
        bar.update()
        bar.set_postfix(loss=f"{running:.3f}", refresh=False)
        if step % 25 == 0:
            log.write(json.dumps({"step": step, "loss": round(running, 4), "pairs": step * args.batch * size}) + "\n")
            log.flush()
        if step % args.every == 0 or step == steps:
            bar.write(f"step {step}: validation {save():.4f}")
    bar.close()


if __name__ == "__main__":
    main()

"""Train a student on a teacher's scores: WORK/lists.jsonl.gz (teach.py) and a model folder (student.py).

The loss of a list adds the divergence of the student's softmax from the teacher's and the squared error of its
logits, so that both the order and the scores are learned. bf16 on a CPU and on a GPU (--device cuda), the same
code. Goes on where it was stopped; every --every steps the averaged weights are judged on lists held out and
written to OUT in Hugging Face layout, fp16, ready for `rerankd serve --model OUT`.
"""
import argparse
import gzip
import json
import pathlib
import random
import shutil

import torch
import torch.nn.functional as F
from student import TOKENIZER
from tokenizers import Tokenizer
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification


def encode(tokenizer, items, cap, device):
    """Ids, mask and, for models that have them, segments of all pairs of `items`, padded."""
    tokenizer.enable_truncation(cap, strategy="longest_first")
    found = tokenizer.encode_batch([(item["query"], doc) for item in items for doc in item["docs"]])
    longest = -(-max(len(e.ids) for e in found) // 16) * 16
    ids, kinds, mask = (torch.zeros(len(found), longest, dtype=torch.long) for _ in range(3))
    for row, e in enumerate(found):
        ids[row, :len(e.ids)] = torch.tensor(e.ids)
        kinds[row, :len(e.ids)] = torch.tensor(e.type_ids)
        mask[row, :len(e.ids)] = 1
    return ids.to(device), kinds.to(device), mask.to(device)


class Student:
    def __init__(self, folder, device):
        self.model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).to(device)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.device = device
        self.segments = getattr(self.model.config, "type_vocab_size", 0) > 1

    def __call__(self, items, cap, model=None):
        """[lists, documents]"""
        ids, kinds, mask = encode(self.tokenizer, items, cap, self.device)
        ids = ids.masked_fill(mask == 0, self.model.config.pad_token_id or 0)
        extra = {"token_type_ids": kinds} if self.segments else {}
        with torch.autocast(self.device, dtype=torch.bfloat16):
            logits = (model or self.model)(input_ids=ids, attention_mask=mask, **extra).logits.float()
        logits = logits[:, 0] if logits.shape[-1] == 1 else logits[:, 1] - logits[:, 0]
        return logits.view(len(items), -1)


def loss_of(found, wanted, args):
    follow = F.kl_div(found.log_softmax(-1), wanted.softmax(-1), reduction="none").sum(-1).mean()
    return follow + args.squares * F.smooth_l1_loss(found, wanted)


@torch.no_grad()
def judge(student, averaged, held, args):
    """Shares of lists whose best document is the teacher's best, and the mean error of a logit."""
    averaged.eval()
    same = error = 0.0
    for start in range(0, len(held), args.batch):
        part = held[start:start + args.batch]
        wanted = torch.tensor([item["scores"] for item in part]).to(student.device)
        found = student(part, args.cap, averaged)
        same += (found.argmax(-1) == wanted.argmax(-1)).sum().item()
        error += (found - wanted).abs().mean(-1).sum().item()
    return same / len(held), error / len(held)


def write(averaged, start, out):
    averaged.half().save_pretrained(out)
    averaged.float()
    for name in TOKENIZER:
        if (start / name).exists():
            shutil.copyfile(start / name, out / name)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(".cache/distill"))
    parser.add_argument("--start", type=pathlib.Path, required=True, help="the student's folder (student.py)")
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=8, help="lists per step")
    parser.add_argument("--cap", type=int, default=256, help="tokens per pair")
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--squares", type=float, default=0.3, help="weight of the logits' errors")
    parser.add_argument("--decay", type=float, default=0.995, help="of the averaged weights")
    parser.add_argument("--every", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--held", type=int, default=200, help="lists held out, to judge by")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=13)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    with gzip.open(args.work / "lists.jsonl.gz", "rt", encoding="utf-8") as stream:
        lists = [json.loads(line) for line in stream]
    held, lists = lists[:min(args.held, len(lists) // 5)], lists[min(args.held, len(lists) // 5):]
    student = Student(args.start, args.device)
    averaged = AutoModelForSequenceClassification.from_pretrained(args.start, dtype=torch.float32).to(args.device)
    optimizer = torch.optim.AdamW(student.model.parameters(), lr=args.lr, betas=(0.9, 0.98), weight_decay=0.01)
    checkpoint, step = args.work / f"{args.out.name}.checkpoint.pt", 0
    if checkpoint.exists():
        saved = torch.load(checkpoint, map_location=args.device)
        student.model.load_state_dict(saved["model"])
        averaged.load_state_dict(saved["averaged"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
    args.out.mkdir(parents=True, exist_ok=True)
    print("before: first place as the teacher's {:.3f}, error of a logit {:.3f}".format(*judge(student, averaged, held, args)))
    bar = tqdm(total=args.steps, initial=step, desc="student")
    while step < args.steps:
        turn, place = divmod(step * args.batch, len(lists))
        order = random.Random(args.seed + turn).sample(range(len(lists)), len(lists))
        batch = [lists[i] for i in order[place:place + args.batch]]
        student.model.train()
        loss = loss_of(student(batch, args.cap), torch.tensor([item["scores"] for item in batch]).to(args.device), args)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.model.parameters(), 1.0)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 50) * max(0.02, 1 - step / args.steps)
        optimizer.step()
        decay = min(args.decay, (step + 1) / (step + 10))
        with torch.no_grad():
            for kept, value in zip(averaged.parameters(), student.model.parameters()):
                kept.lerp_(value, 1 - decay)
        step += 1
        bar.update()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
        if step % args.every == 0 or step == args.steps:
            bar.write("step {}: first place as the teacher's {:.3f}, error of a logit {:.3f}".format(
                step, *judge(student, averaged, held, args)))
            write(averaged, args.start, args.out)
            torch.save({"model": student.model.state_dict(), "averaged": averaged.state_dict(),
                        "optimizer": optimizer.state_dict(), "step": step}, checkpoint)
    bar.close()


if __name__ == "__main__":
    main()

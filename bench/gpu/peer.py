"""PyTorch's side of bench/gpu: post-norm BERT, and decoders as Qwen3, with scaled_dot_product_attention, as transformers computes
them, on the weights that the CUDA engine has (shapes.py)."""
import torch

import shapes

F = torch.nn.functional


class Peer:
    def __init__(self, weights, device, dtype):
        self.shape, self.device = weights.shape, device
        self.w = {}
        for name, (rows, columns) in shapes.names(weights.shape).items():
            exact = torch.frombuffer(weights.tensors[name], dtype=torch.float32).reshape((rows, columns) if columns else (rows,))
            self.w[name] = exact.to(device, dtype)
        s = weights.shape
        positions = torch.arange(s["positions"], device=device)
        apart = (positions[:, None] - positions[None, :]).abs()
        bias = torch.zeros(s["heads"], s["positions"], s["positions"], device=device)
        if s.get("alibi"):
            bias -= torch.tensor(list(weights.slopes()), device=device)[:, None, None] * apart
        self.decoder = bool(s.get("decoder"))
        if s.get("window"):
            far = apart >= s["window"] + (not self.decoder)
            if s.get("global_first"):
                far[:, 0] = False
            bias.masked_fill_(far, float("-inf"))
        if self.decoder:
            bias.masked_fill_(positions[None, :] > positions[:, None], float("-inf"))
        self.bias = bias.to(dtype) if s.get("alibi") or s.get("window") or self.decoder else None
        if s.get("rope"):
            half = s.get("head_size", s["hidden"] // s["heads"]) // 2
            table = torch.tensor(list(weights.angles()), device=device).reshape(s["positions"], 2, half)
            self.cosine, self.sine = table[:, 0].to(dtype), table[:, 1].to(dtype)

    def rectangles(self, sequences, rows, by_length):
        """Padded inputs, on the device: made before anything is timed."""
        order = sorted(sequences, key=len) if by_length else sequences
        found = []
        for i in range(0, len(order), rows):
            part = order[i:i + rows]
            longest = max(map(len, part))
            ids = torch.tensor([s + [0] * (longest - len(s)) for s in part])
            there = torch.tensor([[1] * len(s) + [0] * (longest - len(s)) for s in part], dtype=torch.bool)
            mask = None if all(len(s) == longest for s in part) else there[:, None, None, :].to(self.device)
            found.append((ids.to(self.device), mask))
        return found

    def score(self, ids, there):
        """Logits of one rectangle, on the device."""
        w, shape = self.w, self.shape
        longest, heads = ids.shape[1], shape["heads"]
        mask = there
        if self.bias is not None:
            mask = self.bias[:, :longest, :longest]
            if there is not None:
                mask = mask.masked_fill(~there, float("-inf"))

        def linear(name, x):
            return F.linear(x, w[name + ".weight"], w[name + ".bias"])

        def norm(name, x):
            return F.layer_norm(x, x.shape[-1:], w[name + ".weight"], w[name + ".bias"], 1e-6)

        def split(x):
            return x.view(*x.shape[:2], heads, -1).transpose(1, 2)

        def turn(x):
            if not shape.get("rope"):
                return x
            a, b = x.chunk(2, -1)
            cosine, sine = self.cosine[:longest], self.sine[:longest]
            return torch.cat((a * cosine - b * sine, b * cosine + a * sine), -1)

        if self.decoder:
            return self.decode(w["words"][ids], mask, turn, there)
        x = embedded = norm("embedding_norm", w["words"][ids] + w["positions"][:longest] + w["segments"][0])
        for i in range(shape["layers"]):
            q, k, v = (split(linear(f"{i}.{part}", x)) for part in ("query", "key", "value"))
            context = F.scaled_dot_product_attention(turn(q), turn(k), v, attn_mask=mask).transpose(1, 2).flatten(2)
            if shape.get("global_first"):
                q, k, v = (split(linear(f"{i}.global_{part}", x)) for part in ("query", "key", "value"))
                context[:, :1] = F.scaled_dot_product_attention(q[:, :, :1], k, v, attn_mask=there).transpose(1, 2).flatten(2)
            x = norm(f"{i}.attention_norm", x + linear(f"{i}.attention_output", context))
            added = self.experts(i, x, F.gelu) if shape.get("experts") else linear(f"{i}.down", F.gelu(linear(f"{i}.up", x)))
            x = norm(f"{i}.output_norm", x + added)
            if i == 0 and shape.get("convolution"):
                if there is not None:
                    embedded = embedded * there[:, 0, 0, :, None]
                away = shape["convolution"] // 2
                around = F.pad(embedded, (0, 0, away, away)).unfold(1, shape["convolution"], 1).transpose(2, 3).flatten(2)
                x = norm("convolution_norm", x + torch.tanh(linear("convolution", around)))
        return linear("head_output", torch.tanh(linear("head_dense", x[:, 0])))[:, 0].float()

    def experts(self, layer, x, activation):
        """All of them for all rows: for checking. Decoders' shares sum to 1."""
        w, sum_of = self.w, torch.zeros_like(x)
        shares, chosen = F.linear(x, w[f"{layer}.router.weight"]).float().softmax(-1).topk(self.shape["chosen"], -1)
        if self.decoder:
            shares = shares / shares.sum(-1, keepdim=True)
        for e in range(self.shape["experts"]):
            up = F.linear(x, w[f"{layer}.{e}.up.weight"])
            gate = w.get(f"{layer}.{e}.gate.weight")
            inner = activation(up) if gate is None else activation(F.linear(x, gate)) * up
            share = (shares * (chosen == e)).sum(-1, keepdim=True).to(x.dtype)
            sum_of = sum_of + share * F.linear(inner, w[f"{layer}.{e}.down.weight"])
        return sum_of

    def decode(self, x, mask, turn, there):
        w, shape = self.w, self.shape
        rows, group = x.shape[:2], shape["heads"] // shape["kv_heads"]

        def norm(name, x):
            exact = x.float()
            return (exact * torch.rsqrt(exact.pow(2).mean(-1, keepdim=True) + 1e-6)).to(x.dtype) * w[name + ".weight"]

        for i in range(shape["layers"]):
            y = norm(f"{i}.attention_norm", x)
            q, k, v = (F.linear(y, w[f"{i}.{part}.weight"]).view(*rows, -1, shape["head_size"]) for part in ("query", "key", "value"))
            q, k = turn(norm(f"{i}.query_norm", q).transpose(1, 2)), turn(norm(f"{i}.key_norm", k).transpose(1, 2))
            k, v = (part.repeat_interleave(group, 1) for part in (k, v.transpose(1, 2)))
            context = F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2)
            x = x + F.linear(context, w[f"{i}.attention_output.weight"])
            y = norm(f"{i}.output_norm", x)
            if shape.get("experts"):
                x = x + self.experts(i, y, F.silu)
                continue
            gated = F.silu(F.linear(y, w[f"{i}.gate.weight"])) * F.linear(y, w[f"{i}.up.weight"])
            x = x + F.linear(gated, w[f"{i}.down.weight"])
        last = there[:, 0, 0].sum(1) - 1 if there is not None else torch.full((rows[0],), rows[1] - 1, device=x.device)
        x = norm("final_norm", x[torch.arange(rows[0], device=x.device), last])
        if shape.get("vector"):
            x = F.relu(F.linear(x, w["head_dense.weight"]))
        return F.linear(x, w["head_output.weight"])[:, 0].float()

    def score_all(self, rectangles):
        """Logits in the rectangles' order, back on the host."""
        return [float(x) for ids, mask in rectangles for x in self.score(ids, mask).cpu()]


def floors(seconds):
    """What nothing can beat on this card: products a second (bf16, large), bytes copied a second, and the time of a launch.
    seconds(body): of the device."""
    n = 8192
    a, b = (torch.randn(n, n, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    products = sorted(seconds(lambda: torch.matmul(a, b)) for _ in range(12))
    x = torch.empty(1 << 30, dtype=torch.uint8, device="cuda")
    y = torch.empty_like(x)
    copies = sorted(seconds(lambda: y.copy_(x)) for _ in range(12))
    one = torch.zeros(1, device="cuda")

    def launches():
        for _ in range(1000):
            one.add_(1)

    starts = sorted(seconds(launches) for _ in range(5))
    return 2 * n ** 3 / products[6], 2 * x.numel() / copies[6], starts[2] / 1000


def profile(body):
    """Time of each kernel."""
    from torch.profiler import ProfilerActivity
    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        body()
        torch.cuda.synchronize()
    rows = []
    for event in profiler.key_averages():
        total = getattr(event, "device_time_total", 0) or getattr(event, "cuda_time_total", 0)
        rows.append((total, event.count, event.key))
    everything = sum(row[0] for row in rows) or 1
    return "\n".join(f"  {100 * total / everything:5.1f} %  {total / 1e3:8.3f} ms  {count:4d} x  {key[:90]}"
                     for total, count, key in sorted(rows, reverse=True)[:14])

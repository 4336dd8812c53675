#!/usr/bin/env python3
"""Fits the polynomials of src/engine/cpu/vector/math-inl.h and prints them with their largest error in fp32 arithmetic.

Needs numpy. Usage: fit_functions.py
  erf(x) = x Q(x^2 / 8 - 1) for |x| <= 4, and sign(x) beyond: at |x| = 4 erf is 1 - 1.5e-8, below half a unit of fp32.
  exp(r) = P(r) for |r| <= ln(2) / 2, after x = n ln 2 + r.
And those whose results are rounded to bf16:
  gelu(x) = c0 + c1 x + c2 x^2 by pieces of the line.
  gelu(x) = x / 2 (1 + c Q(2 c^2 / 4.2^2 - 1)), c = x within +-4.2, where c Q is 1: for units that are slow to look up.
  2^r = P(r) for 0 <= r < 1: the cubic with the least relative error, by Lawson's reweighting.
"""
import math

import numpy as np


def chebyshev_fit(function, low, high, degree):
    nodes = np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    points = (nodes + 1) / 2 * (high - low) + low
    series = np.polynomial.chebyshev.chebfit(nodes, [function(p) for p in points], degree)
    return np.polynomial.chebyshev.cheb2poly(series)


def horner_fp32(coefficients, t):
    value = np.full_like(t, np.float32(coefficients[-1]))
    for c in coefficients[-2::-1]:
        value = np.float32(value * t + np.float32(c))
    return value


def estrin_fp32(coefficients, t):
    parts = [np.float32(c) for c in coefficients]
    while len(parts) > 1:
        parts = [np.float32(low + high * t) for low, high in zip(parts[::2], parts[1::2])]
        t = t * t
    return parts[0]


def main():
    def q(t, reach=4.0):
        x = math.sqrt((t + 1) / 2) * reach
        return math.erf(x) / x if x > 1e-9 else 2 / math.sqrt(math.pi)

    erf_coefficients = chebyshev_fit(q, -1, 1, 15)
    x = np.linspace(-4, 4, 2_000_001, dtype=np.float32)
    approx = x * estrin_fp32(erf_coefficients, np.float32(x * x * np.float32(0.125) - 1))
    exact = np.array([math.erf(v) for v in x])
    print("erf Q, low to high:", ", ".join(f"{c:.9e}f" for c in erf_coefficients))
    print("  max |error|", np.abs(approx - exact).max())
    gelu = 0.5 * x * np.sqrt(2) * (1 + approx)
    print("  max |gelu error|", np.abs(gelu - 0.5 * x * np.sqrt(2) * (1 + exact)).max())

    half = math.log(2) / 2
    exp_coefficients = chebyshev_fit(lambda r: math.exp(r * half), -1, 1, 6)
    exp_coefficients = exp_coefficients / half ** np.arange(7)
    r = np.linspace(-half, half, 1_000_001, dtype=np.float32)
    relative = horner_fp32(exp_coefficients, r) / np.exp(r.astype(np.float64)) - 1
    print("exp P, low to high:", ", ".join(f"{c:.9e}f" for c in exp_coefficients))
    print("  max relative error", np.abs(relative).max())
    fit_gelu()
    fit_gelu_polynomial()
    fit_exp2()


def fit_gelu():
    """A parabola in x for each piece (i - 1/2) h <= x <= (i + 1/2) h; 0 and x at the two ends, no constant around 0."""
    reach, pieces = 4.24, 15
    h = reach / pieces

    def gelu(x):
        return np.array([v * (0.5 + math.erf(v / math.sqrt(2)) / 2) for v in x])

    table = np.zeros((3, 32))  # of x^0, x^1, x^2; piece i is column 16 + i
    table[1, 16 + pieces] = 1
    for i in range(1 - pieces, pieces):
        x = i * h + np.cos(np.pi * (np.arange(400) + 0.5) / 400) * h / 2
        powers = np.stack([x**p for p in range(3)], 1)
        first = 1 if i == 0 else 0
        table[first:, 16 + i] = np.linalg.lstsq(powers[:, first:], gelu(x), rcond=None)[0]
    x = np.linspace(-12, 12, 400_001, dtype=np.float32)
    c = np.float32(table)[:, np.rint(np.clip(x, -reach, reach) / h).astype(int) + 16]
    found = (c[2] * x + c[1]) * x + c[0]
    for power in range(3):
        print(f"gelu, x^{power}:", ", ".join(f"{v:.7e}f" for v in table[power]))
    print("  max |gelu error|", np.abs(found - gelu(x.astype(np.float64))).max())


def lawson(basis, target):
    """The coefficients with the least largest error."""
    weight = np.ones_like(target)
    for _ in range(500):
        found, *_ = np.linalg.lstsq(basis * weight[:, None], target * weight, rcond=None)
        error = np.abs(basis @ found - target)
        weight *= (1e-3 + error / error.max()) ** 0.3
        weight /= weight.max()
    return found, error


def fit_gelu_polynomial():
    reach, degree = 4.2, 7
    x = reach * np.sin(np.linspace(0, np.pi / 2, 8001))[1:]
    basis = np.stack([(2 * (x / reach) ** 2 - 1) ** i for i in range(degree + 1)], 1) * x[:, None]
    basis[-1] *= 1e4  # the last point holds: 1 at the end of the reach
    half = np.append(x[:-1] / 2, 1)
    erf = np.array([math.erf(v / math.sqrt(2)) for v in x[:-1]] + [1e4])
    q, _ = lawson(basis * half[:, None], erf * half)
    x = np.linspace(-12, 12, 400_001, dtype=np.float32)
    c = np.clip(x, -np.float32(reach), np.float32(reach))
    t = np.float32(c * c) * np.float32(2 / reach**2) - np.float32(1)
    found = x * np.float32(0.5) * (1 + c * estrin_fp32(q, t))
    exact = np.array([v * (0.5 + math.erf(v / math.sqrt(2)) / 2) for v in x.astype(np.float64)])
    print("gelu Q, low to high:", ", ".join(f"{v:.9e}f" for v in q))
    print("  max |gelu error|", np.abs(found - exact).max())


def fit_exp2():
    r = np.linspace(0, 1, 4001)
    cubic, error = lawson(np.stack([r**i for i in range(4)], 1) / (2**r)[:, None], np.ones_like(r))
    print("2^r, low to high:", ", ".join(f"{v:.9e}f" for v in cubic))
    print("  max relative error", error.max())


if __name__ == "__main__":
    main()

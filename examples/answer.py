"""What the three examples share: the collection, the printed rankings, and the answer.

The answer is taken from the texts: the two sentences that rerankd scores highest for the question. With OPENAI_BASE_URL (and
OPENAI_MODEL, OPENAI_API_KEY) set, a language model behind any OpenAI-compatible endpoint writes it from the same texts.
"""
import argparse
import json
import os
import pathlib
import re
import urllib.request

MODEL = "rerankd-mini-en"
QUESTIONS = ["Why do my knees hurt?", "Why does my chain jump when I pedal hard?", "Can I charge the battery in the cold?"]


def arguments():
    parser = argparse.ArgumentParser(description="retrieve, rerank with rerankd, answer")
    parser.add_argument("--url", default=os.environ.get("RERANKD_URL", "http://127.0.0.1:8080"), help="address of rerankd serve")
    parser.add_argument("--key", default=os.environ.get("RERANKD_API_KEY", "any"), help="API key, if the server has one")
    parser.add_argument("--question", action="append", help="may be given several times; default: three questions")
    parsed = parser.parse_args()
    parsed.question = parsed.question or QUESTIONS
    return parsed


def collection():
    """[{"id", "text"}]: notes on bicycles."""
    lines = pathlib.Path(__file__).with_name("collection.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def words(text):
    """For BM25: lower case, and no words that every question has."""
    common = {"a", "an", "and", "can", "do", "does", "i", "in", "is", "it", "my", "of", "the", "to", "what", "when", "why"}
    return [word for word in re.findall(r"\w+", text.lower()) if word not in common]


def post(url, body, key):
    request = urllib.request.Request(url, json.dumps(body).encode(),
                                     {"Content-Type": "application/json", "Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def extract(url, key, question, texts):
    """The best two neighbouring sentences of the texts, by rerankd's own score."""
    passages = []
    for text in texts:
        sentences = re.split(r"(?<=[.!?]) ", text)
        passages += [" ".join(sentences[i:i + 2]) for i in range(max(1, len(sentences) - 1))]
    best = post(f"{url}/v1/rerank", {"query": question, "documents": passages, "top_n": 1}, key)["results"][0]
    return f"{passages[best['index']]}  ({best['relevance_score']:.3f})"


def generate(question, texts):
    prompt = "Answer in one sentence, from these notes only:\n\n" + "\n\n".join(texts)
    answer = post(os.environ["OPENAI_BASE_URL"].rstrip("/") + "/chat/completions",
                  {"model": os.environ.get("OPENAI_MODEL", "default"),
                   "messages": [{"role": "system", "content": prompt}, {"role": "user", "content": question}]},
                  os.environ.get("OPENAI_API_KEY", "any"))
    return answer["choices"][0]["message"]["content"]


def answer(url, key, question, texts):
    return generate(question, texts) if os.environ.get("OPENAI_BASE_URL") else extract(url, key, question, texts)


def show(question, before, after, answered):
    """before, after: [(id, score)], best first."""
    print(f"\n{question}")
    print(f"  {'BM25':<28}reranked")
    for place in range(max(len(before), len(after))):
        left, right = (f"{ranked[place][1]:7.3f}  {ranked[place][0]}" if place < len(ranked) else "" for ranked in (before, after))
        print(f"  {left:<28}{right}".rstrip())
    print(f"  answer: {answered}")

#!/usr/bin/env python3
"""Records what Jinja and `tokenizers` make of chat templates of rerankers, rendered with transformers' settings.

Usage: make_chat_goldens.py DECODERS OUT   (`make reference` calls it with tests/data/decoders and tests/data/chat)

OUT/templates.jsonl has a pair a line: the ids by DECODERS/qwen3-a of what is rendered; `template` null: that of the line before.
"""
import json
import pathlib
import sys

import jinja2
from tokenizers import Tokenizer

ROLE = "messages | selectattr('role', 'eq', '{}') | map(attribute='content') | first"
QUERY, DOCUMENT, SYSTEM = (ROLE.format(role) for role in ("query", "document", "system"))
JUDGE = "<|im_start|>system\nJudge it by \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n"
END = "<|im_end|>\n<|im_start|>assistant\n"
TEMPLATES = {
    # As Qwen3-Reranker's folder has it since sentence-transformers 5.4, but shorter.
    "set": "{%- set instruction = " + SYSTEM + " | default(\"Given a web search query, find passages\") -%}\n{%- set q = " + QUERY
           + " -%}\n{%- set d = " + DOCUMENT + " -%}\n" + JUDGE + "<Instruct>: {{ instruction }}\n<Query>: {{ q }}\n<Document>: {{ d }}" + END
           + "<think>\n\n</think>\n\n\n",
    # As vLLM's examples.
    "inline": JUDGE + "<Instruct>: {{\n    " + SYSTEM + "\n    | default('find it')\n}}\n<Query>: {{ " + QUERY + " }}\n<Document>: {{ " + DOCUMENT
              + " }}" + END,
    "content": "<|im_start|>system\n{{ (messages | selectattr(\"role\", \"eq\", \"query\") | first).content }}<|im_end|>\n<|im_start|>user\n"
               "{{ (messages | selectattr(\"role\", \"eq\", \"document\") | first)['content'] }}<|im_end|>\n"
               "{%- if add_generation_prompt %}\n<|im_start|>assistant\n{%- endif %}",
    "loop": "{% for m in messages %}\n    {% if m.role == 'system' %}\nTask: {{ m['content'] }}<|im_end|>\n    {%- elif m.role == 'query' -%}\n"
            "<|im_start|>{{ m.content }}<|im_end|>{% elif m.role == \"document\" %}\n<|im_start|>{{ m.content }}<|im_end|>\n    {% endif %}\n"
            "    {# nothing of it is printed #}\n{% endfor %}\n",
    "joined": "{%- set q = (messages | selectattr('role', 'equalto', 'query') | list)[0].content -%}\n{%- set d = messages[-1].content -%}\n"
              "{{- '<|im_start|>' ~ \"query\" ~ ': ' ~ q ~ '<|im_end|>\\n' + '<|im_start|>document\\t' + d ~ '<|im_end|>' -}}\n",
    "task": "<|im_start|>{% if messages[0]['role'] == 'system' %}<task>{{ messages[0].content }}</task>\n<q>{{ messages[1].content }}</q>"
            "{% else %}{{ " + QUERY + " }}{% endif %}<|im_end|>\n{{ messages[1:][-1].content if 'document' in ['query', 'document'] else 'x' }}"
            "<|im_end|>{{ eos_token }}",
}
PAIRS = [("what is a panda?", "The giant panda is a bear."), ("", ""), ("  blanks \n", "\n\nnew lines\n"), ("(it's)", "]1 2 3: 中文 🐼"),
         ("no <b>tags</b>", "'s and \u0301")]
INSTRUCTIONS = [None, "find what contradicts\nthe query"]


def main():
    tokenizer = Tokenizer.from_file(str(pathlib.Path(sys.argv[1]) / "qwen3-a/tokenizer.json"))
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    lines = []
    for name, template in TEMPLATES.items():
        for generation in (False, True):
            for query, document in PAIRS:
                for instruction in INSTRUCTIONS:
                    messages = [dict(role="query", content=query), dict(role="document", content=document)]
                    if instruction:
                        messages.insert(0, dict(role="system", content=instruction))
                    text = environment.from_string(template).render(messages=messages, add_generation_prompt=generation, bos_token="", eos_token="<|im_end|>")
                    known = lines and lines[-1]["name"] == name
                    lines.append(dict(name=name, template=None if known else template, add_generation_prompt=generation, query=query,
                                      document=document, instruction=instruction, ids=tokenizer.encode(text, add_special_tokens=False).ids))
    out = pathlib.Path(sys.argv[2]) / "templates.jsonl"
    out.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print(len(lines), "prompts of", len(TEMPLATES), "templates")


if __name__ == "__main__":
    main()

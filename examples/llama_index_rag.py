#!/usr/bin/env python3
"""LlamaIndex: BM25 retrieves eight nodes, rerankd puts the best three first, two sentences of them answer.

    pip install llama-index-retrievers-bm25 llama-index-postprocessor-tei-rerank
    rerankd serve &
    python examples/llama_index_rag.py
"""
from answer import answer, arguments, collection, show
from llama_index.core.schema import TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from llama_index.retrievers.bm25 import BM25Retriever

options = arguments()
nodes = [TextNode(id_=note["id"], text=note["text"]) for note in collection()]
retriever = BM25Retriever.from_defaults(nodes=nodes, similarity_top_k=8, skip_stemming=True)
reranker = TextEmbeddingInference(base_url=options.url, auth_token=options.key, top_n=3)

for question in options.question:
    retrieved = retriever.retrieve(question)
    before = [(n.node_id, n.score) for n in retrieved]  # the postprocessor writes its scores into these nodes
    reranked = reranker.postprocess_nodes(retrieved, query_str=question)
    show(question, before, [(n.node_id, n.score) for n in reranked],
         answer(options.url, options.key, question, [n.node.text for n in reranked]))

#!/usr/bin/env python3
"""Haystack: a pipeline of a BM25 retriever over eight documents and a ranker that is rerankd; two sentences of its three answer.

    pip install haystack-ai huggingface-api-haystack
    rerankd serve &
    python examples/haystack_rag.py
"""
from answer import answer, arguments, collection, show
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.utils import Secret
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker

options = arguments()
store = InMemoryDocumentStore()
store.write_documents([Document(content=note["text"], meta={"id": note["id"]}) for note in collection()])

pipeline = Pipeline()
pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=8))
pipeline.add_component("ranker", HuggingFaceTEIRanker(url=options.url, token=Secret.from_token(options.key), top_k=3))
pipeline.connect("retriever.documents", "ranker.documents")

for question in options.question:
    result = pipeline.run({"retriever": {"query": question}, "ranker": {"query": question}}, include_outputs_from={"retriever"})
    reranked = result["ranker"]["documents"]
    show(question, [(d.meta["id"], d.score) for d in result["retriever"]["documents"]], [(d.meta["id"], d.score) for d in reranked],
         answer(options.url, options.key, question, [d.content for d in reranked]))

#!/usr/bin/env python3
"""LangChain: BM25 retrieves eight texts, rerankd puts the best three first, two sentences of them answer.

    pip install langchain-community langchain-cohere rank-bm25
    rerankd serve &
    python examples/langchain_rag.py
"""
from answer import MODEL, answer, arguments, collection, show, words
from langchain_cohere import CohereRerank
from langchain_community.retrievers import BM25Retriever
from langchain_core.documents import Document

options = arguments()
documents = [Document(note["text"], metadata={"id": note["id"]}) for note in collection()]
retriever = BM25Retriever.from_documents(documents, k=8, preprocess_func=words)
reranker = CohereRerank(base_url=options.url, cohere_api_key=options.key, model=MODEL, top_n=3)

for question in options.question:
    retrieved = retriever.invoke(question)
    scores = sorted(retriever.vectorizer.get_scores(words(question)), reverse=True)
    reranked = reranker.compress_documents(retrieved, question)
    show(question, [(d.metadata["id"], score) for d, score in zip(retrieved, scores)],
         [(d.metadata["id"], d.metadata["relevance_score"]) for d in reranked],
         answer(options.url, options.key, question, [d.page_content for d in reranked]))

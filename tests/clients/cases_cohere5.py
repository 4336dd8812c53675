"""Cases for .venv-clients-cohere5: cohere 5, LangChain, LlamaIndex."""
from cases_cohere import cohere_v1, cohere_v2  # noqa: F401
from real_client import MODEL, QUERY, TEXTS, TOP_N, client, main, place


def langchain_answer(compressor):
    from langchain_core.documents import Document
    documents = compressor.compress_documents([Document(t, metadata={"place": i}) for i, t in enumerate(TEXTS)], QUERY)
    assert all(d.metadata["place"] == place(d.page_content) for d in documents)
    return [(place(d.page_content), d.metadata["relevance_score"]) for d in documents]


@client("LangChain CohereRerank", "langchain-cohere", "", "documents, metadata.relevance_score")
def langchain_cohere(url, key):
    from langchain_cohere import CohereRerank
    return langchain_answer(CohereRerank(base_url=url, cohere_api_key=key, model=MODEL, top_n=TOP_N))


@client("LangChain InfinityRerank", "langchain-community", "", "documents, metadata.relevance_score")
def langchain_infinity(url, key):
    from infinity_client import Client
    from langchain_community.document_compressors import InfinityRerank
    asked = Client(base_url=url, headers={"Authorization": f"Bearer {key}"})
    return langchain_answer(InfinityRerank(client=asked, model=MODEL, top_n=TOP_N))


@client("LangChain NVIDIARerank", "langchain-nvidia-ai-endpoints", "/v1", "documents, metadata.relevance_score: a logit", raw=True)
def langchain_nvidia(url, key):
    from langchain_nvidia_ai_endpoints import NVIDIARerank
    return langchain_answer(NVIDIARerank(base_url=url, api_key=key, model=MODEL, top_n=TOP_N))


@client("Infinity client", "infinity_client", "", "index, relevance_score; model, usage")
def infinity(url, key):
    from infinity_client import Client
    from infinity_client.api.default import rerank
    from infinity_client.models import RerankInput
    asked = Client(base_url=url, headers={"Authorization": f"Bearer {key}"})
    answer = rerank.sync(client=asked, body=RerankInput(query=QUERY, documents=TEXTS, model=MODEL))
    assert answer.model == MODEL and answer.usage.total_tokens > 0, answer
    return [(r.index, r.relevance_score) for r in answer.results[:TOP_N]]


def llama_index_answer(postprocessor):
    from llama_index.core.schema import NodeWithScore, TextNode
    nodes = postprocessor.postprocess_nodes([NodeWithScore(node=TextNode(text=t), score=0) for t in TEXTS], query_str=QUERY)
    return [(place(n.node.text), n.score) for n in nodes]


@client("LlamaIndex TextEmbeddingInference", "llama-index-postprocessor-tei-rerank", "", "nodes, score")
def llama_index_tei(url, key):
    from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
    return llama_index_answer(TextEmbeddingInference(base_url=url, auth_token=key, top_n=TOP_N))


@client("LlamaIndex XinferenceRerank", "llama-index-postprocessor-xinference-rerank", "", "nodes, score", key=False)
def llama_index_xinference(url, _):
    from llama_index.postprocessor.xinference_rerank import XinferenceRerank
    return llama_index_answer(XinferenceRerank(base_url=url, model=MODEL, top_n=TOP_N))


@client("LlamaIndex CohereRerank", "llama-index-postprocessor-cohere-rerank", "", "nodes, score")
def llama_index_cohere(url, key):
    from llama_index.postprocessor.cohere_rerank import CohereRerank
    return llama_index_answer(CohereRerank(base_url=url, api_key=key, model=MODEL, top_n=TOP_N))


if __name__ == "__main__":
    main()

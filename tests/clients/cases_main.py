"""Cases for .venv-clients: cohere 7, Haystack, LiteLLM, Voyage, Xinference, rerankers, Mixedbread."""
import os

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # litellm reads no price list from the network

from cases_cohere import cohere_v1, cohere_v2  # noqa: F401, E402
from real_client import MODEL, QUERY, TEXTS, TOP_N, client, main, place  # noqa: E402


def haystack_documents():
    from haystack import Document
    return [Document(content=text, meta={"place": i}) for i, text in enumerate(TEXTS)]


def haystack_answer(ranker):
    documents = ranker.run(query=QUERY, documents=haystack_documents())["documents"]
    assert all(d.meta["place"] == place(d.content) for d in documents)
    return [(place(d.content), d.score) for d in documents]


def secret(key):
    from haystack.utils import Secret
    return Secret.from_token(key)


@client("Haystack HuggingFaceTEIRanker", "huggingface-api-haystack", "", "documents, score")
def haystack_tei(url, key):
    from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
    return haystack_answer(HuggingFaceTEIRanker(url=url, token=secret(key), top_k=TOP_N))


@client("Haystack VLLMRanker", "vllm-haystack", "/v1", "documents, score; meta: model, usage")
def haystack_vllm(url, key):
    from haystack_integrations.components.rankers.vllm import VLLMRanker
    ranker = VLLMRanker(model=MODEL, api_key=secret(key), api_base_url=url, top_k=TOP_N)
    meta = ranker.run(query=QUERY, documents=haystack_documents())["meta"]
    assert meta["model"] == MODEL and meta["usage"]["total_tokens"] > 0, meta
    return haystack_answer(ranker)


@client("Haystack JinaRanker", "jina-haystack", "/v1/rerank", "documents, score; meta: model, usage")
def haystack_jina(url, key):
    from haystack_integrations.components.rankers.jina import JinaRanker
    ranker = JinaRanker(model=MODEL, api_key=secret(key), top_k=TOP_N, base_url=url)
    meta = ranker.run(query=QUERY, documents=haystack_documents())["meta"]
    assert meta["model"] == MODEL and meta["usage"]["total_tokens"] > 0, meta
    return haystack_answer(ranker)


@client("Haystack CohereRanker", "cohere-haystack", "", "documents, score")
def haystack_cohere(url, key):
    from haystack_integrations.components.rankers.cohere import CohereRanker
    return haystack_answer(CohereRanker(model=MODEL, api_key=secret(key), api_base_url=url, top_k=TOP_N))


@client("Haystack NvidiaRanker", "nvidia-haystack", "/v1", "documents, score: a logit", raw=True)
def haystack_nvidia(url, key):
    from haystack_integrations.components.rankers.nvidia import NvidiaRanker
    return haystack_answer(NvidiaRanker(model=MODEL, api_url=url, api_key=secret(key), top_k=TOP_N))


def litellm_answer(provider, url, key, return_documents=True):
    import litellm
    answer = litellm.rerank(model=f"{provider}/{MODEL}", query=QUERY, documents=TEXTS, top_n=TOP_N, api_base=url, api_key=key,
                            return_documents=return_documents)
    for result in answer.results if return_documents else ():
        assert result["document"]["text"] == TEXTS[result["index"]], answer.results
    return [(r["index"], r["relevance_score"]) for r in answer.results]


@client("LiteLLM hosted_vllm/", "litellm", "", "index, relevance_score, document.text")
def litellm_vllm(url, key):
    return litellm_answer("hosted_vllm", url, key)


@client("LiteLLM huggingface/", "litellm", "", "index, relevance_score, document.text")
def litellm_huggingface(url, key):
    return litellm_answer("huggingface", url, key)


@client("LiteLLM cohere/", "litellm", "", "index, relevance_score, document.text")
def litellm_cohere(url, key):
    return litellm_answer("cohere", url, key)


@client("LiteLLM infinity/, with `return_documents=False`", "litellm", "", "index, relevance_score")
def litellm_infinity(url, key):
    return litellm_answer("infinity", url, key, return_documents=False)


# Infinity answers with strings where all others have {"text": string}, and the requests are the same.
@client("LiteLLM infinity/", "litellm", "", "index, relevance_score, document.text",
        fails=("document.text", "it wants each `document` as a string, all other clients as an object: take `hosted_vllm/`, or "
                                "`return_documents=False`"))
def litellm_infinity_documents(url, key):
    return litellm_answer("infinity", url, key)


@client("LiteLLM jina_ai/", "litellm", "", "index, relevance_score, document.text")
def litellm_jina(url, key):
    return litellm_answer("jina_ai", url, key)


@client("Voyage", "voyageai", "/v1", "index, relevance_score, document; total_tokens")
def voyage(url, key):
    import voyageai
    answer = voyageai.Client(api_key=key, base_url=url).rerank(QUERY, TEXTS, model=MODEL, top_k=TOP_N)
    assert answer.total_tokens > 0 and all(r.document == TEXTS[r.index] for r in answer.results)
    return [(r.index, r.relevance_score) for r in answer.results]


@client("Xinference RESTfulClient", "xinference-client", "", "index, relevance_score, document.text; model_type")
def xinference(url, key):
    from xinference_client import RESTfulClient
    model = RESTfulClient(url, api_key=key).get_model(MODEL)
    answer = model.rerank(TEXTS, QUERY, top_n=TOP_N, return_documents=True)
    assert all(r["document"]["text"] == TEXTS[r["index"]] for r in answer["results"]), answer
    return [(r["index"], r["relevance_score"]) for r in answer["results"]]


def rerankers_answer(provider, url, key):
    from rerankers.models.api_rankers import APIRanker
    answer = APIRanker(MODEL, key, provider, url=url).rank(QUERY, TEXTS)
    assert all(r.rank == i + 1 and r.text == TEXTS[r.doc_id] for i, r in enumerate(answer.results))
    assert len(answer.results) == len(TEXTS)
    return [(r.doc_id, r.score) for r in answer.top_k(TOP_N)]


def add_rerankers(provider, path):
    client(f"rerankers, {provider}", "rerankers", path, "rank, score, document")(
        lambda url, key: rerankers_answer(provider, url, key))


for provider, path in (("text-embeddings-inference", "/rerank"), ("jina", "/v1/rerank"), ("cohere", "/v1/rerank"),
                       ("voyage", "/v1/rerank"), ("mixedbread.ai", "/v1/reranking")):
    add_rerankers(provider, path)


def lightrag_answer(function, url, key):
    import asyncio
    answer = asyncio.run(function(QUERY, TEXTS, top_n=TOP_N, api_key=key, model=MODEL, base_url=url))
    return [(r["index"], r["relevance_score"]) for r in answer]


@client("LightRAG, binding `jina`", "lightrag-hku", "/v1/rerank", "index, relevance_score")
def lightrag_jina(url, key):
    from lightrag.rerank import jina_rerank
    return lightrag_answer(jina_rerank, url, key)


@client("LightRAG, binding `cohere`", "lightrag-hku", "/v2/rerank", "index, relevance_score")
def lightrag_cohere(url, key):
    from lightrag.rerank import cohere_rerank
    return lightrag_answer(cohere_rerank, url, key)


@client("Mixedbread", "mixedbread", "", "index, score, input; usage")
def mixedbread(url, key):
    import mixedbread as package
    answer = package.Mixedbread(api_key=key, base_url=url).rerank(model=MODEL, query=QUERY, input=TEXTS, top_k=TOP_N, return_input=True)
    assert answer.usage.total_tokens > 0 and all(r.input == TEXTS[r.index] for r in answer.data)
    return [(r.index, r.score) for r in answer.data]


@client("Pinecone inference.rerank", "pinecone", "", "index, score, document.text; model, usage.rerank_units")
def pinecone(url, key):
    from pinecone import Pinecone
    answer = Pinecone(api_key=key, host=url).inference.rerank(model=MODEL, query=QUERY, documents=TEXTS, top_n=TOP_N)
    assert answer.model == MODEL and answer.usage.rerank_units == 1, answer
    assert all(row.document["text"] == TEXTS[row.index] for row in answer.data), answer
    return [(row.index, row.score) for row in answer.data]


@client("DashScope TextReRank", "dashscope", "/api/v1", "index, relevance_score, document.text; usage, request_id")
def dashscope(url, key):
    import dashscope
    dashscope.base_http_api_url = url
    answer = dashscope.TextReRank.call(model=MODEL, query=QUERY, documents=TEXTS, top_n=TOP_N, return_documents=True, api_key=key)
    assert answer.status_code == 200, answer
    assert answer.request_id and answer.usage["total_tokens"] > 0, answer
    assert all(row["document"]["text"] == TEXTS[row["index"]] for row in answer.output.results), answer
    return [(row["index"], row["relevance_score"]) for row in answer.output.results]


def aws(service, url):
    import boto3
    return boto3.client(service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")


@client("Amazon Bedrock `rerank`", "boto3", "", "index, relevanceScore", key=False)
def bedrock(url, key):
    sources = [{"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}} for text in TEXTS]
    model = {"modelConfiguration": {"modelArn": "arn:aws:bedrock:us-east-1::foundation-model/reranker"}, "numberOfResults": TOP_N}
    answer = aws("bedrock-agent-runtime", url).rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": QUERY}}], sources=sources,
        rerankingConfiguration={"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": model})
    return [(row["index"], row["relevanceScore"]) for row in answer["results"]]


def sagemaker_answer(url, body, scores_of):
    import json
    answer = aws("sagemaker-runtime", url).invoke_endpoint(EndpointName="reranker", ContentType="application/json", Body=json.dumps(body))
    scores = scores_of(json.load(answer["Body"]))
    return sorted(enumerate(scores), key=lambda pair: -pair[1])[:TOP_N]


@client("Amazon SageMaker, Hugging Face's container", "boto3", "", "label, score in input order", key=False)
def sagemaker(url, key):
    return sagemaker_answer(url, {"inputs": [{"text": QUERY, "text_pair": text} for text in TEXTS]}, lambda rows: [r["score"] for r in rows])


@client("Amazon SageMaker, LangChain's handler", "boto3", "", "scores", key=False)
def sagemaker_pairs(url, key):
    return sagemaker_answer(url, {"text_pairs": [[QUERY, text] for text in TEXTS]}, lambda answer: answer["scores"])


if __name__ == "__main__":
    main()

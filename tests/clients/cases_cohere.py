"""Cohere's own client, in both environments."""
from real_client import MODEL, QUERY, TEXTS, TOP_N, client


def checked(answer):
    assert answer.id and answer.meta.tokens.input_tokens > 0, answer
    return [(r.index, r.relevance_score) for r in answer.results]


@client("cohere Client (v1)", "cohere", "", "index, relevance_score, document.text; id, meta.tokens")
def cohere_v1(url, key):
    import cohere
    answer = cohere.Client(api_key=key, base_url=url).rerank(model=MODEL, query=QUERY, documents=TEXTS, top_n=TOP_N,
                                                             return_documents=True)
    assert all(r.document.text == TEXTS[r.index] for r in answer.results)
    return checked(answer)


@client("cohere ClientV2", "cohere", "", "index, relevance_score; id, meta.tokens; its exceptions")
def cohere_v2(url, key):
    import cohere
    asked = cohere.ClientV2(api_key=key, base_url=url)
    try:
        asked.rerank(model=MODEL, query=QUERY, documents=[], top_n=TOP_N)
        raise AssertionError("no documents is no error")
    except (cohere.BadRequestError, cohere.UnprocessableEntityError) as error:
        assert "documents" in error.body["message"], error.body
    return checked(asked.rerank(model=MODEL, query=QUERY, documents=TEXTS, top_n=TOP_N))

/* The library for other languages: a stable C interface of librerank.so. In process, without HTTP: the same tokenizing,
 * batching, caching and engines as the server's.
 *
 *   char* error = NULL;
 *   rerank_model* model = rerank_open(NULL, 0, &error);
 *   rerank_result results[2];
 *   size_t count = 2;
 *   rerank_rank(model, &query, documents, 2, 0, results, &count, &error);
 *   rerank_close(model);
 *
 * Threads: all functions may be called from any thread, also on one model at a time from several, whose pairs then
 * share batches; rerank_close() only when no other call on that model is under way. Texts are UTF-8, need no
 * terminator, and belong to the caller, who may free them when the call returns. Functions that can fail return 0, or a
 * code of google.rpc.Code (3: bad argument, 5: not found, 8: exhausted, 12: not supported, ...) and, where `error` is
 * not NULL, a message in *error that rerank_free() takes. Nothing of C++ crosses this border, neither exceptions nor
 * types.
 *
 * Within a major version functions are only added; a struct that must grow gets a new name. */
#ifndef RERANK_C_API_H
#define RERANK_C_API_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define RERANK_API __attribute__((visibility("default")))
#else
#define RERANK_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rerank_model rerank_model;

/* A setting by the name of its flag (docs/options.md): {"model", "/models/my-reranker"}, {"precision", "bf16"}. Those
 * of the groups Model, Engine, Texts and Limits. Terminated strings. */
typedef struct {
  const char* name;
  const char* value;
} rerank_setting;

typedef struct {
  const char* data;
  size_t bytes;
} rerank_text;

typedef struct {
  size_t index;       /* position among the documents given */
  float score;        /* sigmoid of the logit */
  float logit;        /* the model's output */
  uint32_t tokens;    /* of the pair, special tokens included */
  uint32_t truncated; /* 1: the pair was longer than the limit and was cut */
} rerank_result;

/* The version of the library: "0.2.0". */
RERANK_API const char* rerank_version(void);

/* Opens a model, the built-in one where no setting says otherwise. NULL when it cannot. */
RERANK_API rerank_model* rerank_open(const rerank_setting* settings, size_t count, char** error);
/* As rerank_open(), a further model that has the threads and caches of `other`: the two take turns to compute. What the
 * settings say of threads and caches counts for nothing then. Models may be closed in any order. */
RERANK_API rerank_model* rerank_open_beside(rerank_model* other, const rerank_setting* settings, size_t count,
                                            char** error);
RERANK_API void rerank_close(rerank_model* model);

/* The model's name, and what computes it: "cpu bf16 avx512bf16". Valid until rerank_close(). */
RERANK_API const char* rerank_name(const rerank_model* model);
RERANK_API const char* rerank_engine(const rerank_model* model);

/* Ranks documents for a query, best first, ties in the order given. top_n 0: all. `results` has room for *result_count
 * results, at least min(count, top_n); *result_count becomes their number. */
RERANK_API int rerank_rank(rerank_model* model, const rerank_text* query, const rerank_text* documents, size_t count,
                           size_t top_n, rerank_result* results, size_t* result_count, char** error);

/* The logits of pairs (queries[i], documents[i]) in their order. Pairs of equal queries that follow one another are
 * cheapest: their query is tokenized once. */
RERANK_API int rerank_predict(rerank_model* model, const rerank_text* queries, const rerank_text* documents,
                              size_t count, float* logits, char** error);

/* Gives up calls that were told of it: they then return code 1 (cancelled) as soon as what is being computed is done,
 * less than one batch (max-batch-ms) later. May be used for many calls, and from any thread, though not
 * in a signal handler. */
typedef struct rerank_stop rerank_stop;
RERANK_API rerank_stop* rerank_stop_new(void); /* NULL: out of memory */
RERANK_API void rerank_stop_now(rerank_stop* stop);
RERANK_API void rerank_stop_free(rerank_stop* stop); /* when no call that was told of it is under way */

/* Called on the caller's thread while it waits, with the pairs that are done. */
typedef void (*rerank_progress)(void* context, size_t done, size_t total);

/* As rerank_rank() and rerank_predict(), to be given up by `stop` (NULL: not) and telling `progress` (NULL: nobody). */
RERANK_API int rerank_rank_with(rerank_model* model, const rerank_text* query, const rerank_text* documents,
                                size_t count, size_t top_n, rerank_result* results, size_t* result_count,
                                rerank_stop* stop, char** error);
RERANK_API int rerank_predict_with(rerank_model* model, const rerank_text* queries, const rerank_text* documents,
                                   size_t count, float* logits, rerank_stop* stop, rerank_progress progress,
                                   void* context, char** error);

/* Frees a message. */
RERANK_API void rerank_free(char* text);

#ifdef __cplusplus
}
#endif

#endif

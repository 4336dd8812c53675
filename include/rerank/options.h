// Every setting of rerankd, with its default, its meaning and when to change it. Command-line flags, environment
// variables (RERANKD_<NAME>), the configuration file and docs/options.md all come from visit_options() below: add a
// setting here only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace rerank {

// What the library needs: the model, the engine and the limits of ranking.
struct Options {
  // Model
  std::string model;
  std::string served_model_name;
  std::string revision = "main";
  std::string hub_endpoint = "https://huggingface.co";
  std::string hub_token;
  std::string hub_cache;
  bool hub_offline = false;
  // Told while a model is downloaded, about ten times a second; null: silent. Not a setting.
  std::function<void(std::string_view file, uint64_t done_bytes, uint64_t total_bytes)> download_progress;
  // Engine
  std::string engine = "auto";
  std::string precision = "auto";
  std::string kernel = "auto";
  size_t threads = 0;
  bool pin_threads = false;
  std::string weight_cache;
  size_t weight_cache_bytes = size_t{16} << 30;
  std::string tuning_cache;
  bool cuda_graphs = true;
  bool cuda_overlap = true;
  size_t layers = 0;
  std::string exits;
  std::string devices;
  std::string onnx_file;
  std::string onnx_provider = "cpu";
  bool onnx_split = true;
  std::string onnxruntime_library;
  double target_agreement = 0;
  std::string torchscript_file;
  // Texts
  size_t max_length = 0;
  std::string truncation = "auto";
  std::string chunk_score = "max";
  size_t chunk_overlap = 32;
  size_t max_chunks = 16;
  // Scheduling and limits
  size_t max_batch_tokens = 8192;
  size_t max_batch_ms = 250;
  size_t max_wait_us = 0;
  size_t queue_stretch = 2;
  std::string queue_policy = "shed";
  size_t max_queued_tokens = 4u << 20;
  size_t max_queue_ms = 20000;
  size_t max_held_requests = 1000;
  size_t max_documents = 10000;
  size_t tokenizer_threads = 0;
  size_t cache_bytes = 64u << 20;
  size_t cache_ttl_seconds = 86400;
  size_t token_cache_bytes = 32u << 20;
  std::string cache_url;
  std::string cache_secret;
  size_t cache_timeout_ms = 25;
  // Watching
  double shadow_rate = 0;
  size_t shadow_queue_bytes = 8u << 20;
};

// What the server needs besides.
struct ServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  uint16_t grpc_port = 0;
  size_t io_threads = 1;
  size_t parse_threads = 2;
  size_t max_memory_bytes = 0;
  size_t max_body_bytes = 32u << 20;
  size_t max_header_bytes = 16u << 10;
  size_t max_connections = 4096;
  size_t header_timeout_ms = 10000;
  size_t body_timeout_ms = 60000;
  size_t min_transfer_rate = 64u << 10;
  size_t idle_timeout_ms = 75000;
  size_t drain_timeout_ms = 30000;
  size_t request_timeout_ms = 300000;
  bool return_documents = true;
  size_t compress_min_bytes = 16u << 10;
  std::string api_key;
  std::string api_key_file;
  std::string cors_origin;
  std::string read_only_metrics_address;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  bool tei_metrics = false;
  size_t request_log_rate = 20;
  std::string otlp_endpoint;
  std::string otlp_headers;
  std::string service_name = "rerankd";
  double trace_rate = 1;
  size_t trace_queue = 2048;
  std::string user;
  // A socket that is bound already, for the server to listen on and close; -1: it binds one itself. Not a setting.
  int bound_socket = -1;
  int bound_grpc_socket = -1;
};

struct OptionInfo {
  const char* name;                   // flag `--name`, configuration key `name`, environment variable RERANKD_NAME
  const char* value;                  // placeholder in the help text
  const char* group;                  // heading in the help text and in docs/options.md
  const char* help;                   // what it does and when to change it
  const char* environment = nullptr;  // another environment variable than RERANKD_NAME, where the field has one
};

// Calls visit(OptionInfo, field) for each setting, in the order of the help text.
template <class O, class Visit>
void visit_options(O& options, Visit&& visit) requires requires {
  options.model;
}
{
  visit(
      OptionInfo{"model", "DIR|ID", "Model",
                 "Hugging Face folder, or a hub id such as BAAI/bge-reranker-v2-m3 (found in the local hub cache, else "
                 "downloaded). Default: the built-in English model rerankd-mini-en."},
      options.model);
  visit(
      OptionInfo{
          "served-model-name", "NAME", "Model",
          "Model name told to clients. Default: made from --model; contains \"rerank\", which RAGFlow looks for."},
      options.served_model_name);
  visit(OptionInfo{"revision", "REV", "Model", "Branch, tag or commit of a hub model."}, options.revision);
  visit(OptionInfo{"hub-endpoint", "URL", "Model", "Where hub ids are looked up: a mirror, or a hub of your own.",
                   "HF_ENDPOINT"},
        options.hub_endpoint);
  visit(OptionInfo{"hub-token", "TOKEN", "Model",
                   "Access token for private or gated hub models; sent to the hub only, never where it redirects.",
                   "HF_TOKEN"},
        options.hub_token);
  visit(OptionInfo{"hub-cache", "DIR", "Model",
                   "Where hub models are kept, shared with huggingface_hub. Default: $HF_HOME/hub, else "
                   "~/.cache/huggingface/hub.",
                   "HF_HUB_CACHE"},
        options.hub_cache);
  visit(OptionInfo{"hub-offline", "BOOL", "Model", "Never download: only what the cache has.", "HF_HUB_OFFLINE"},
        options.hub_offline);
  visit(OptionInfo{"engine", "NAME", "Engine",
                   "auto, cuda, cpu, onnx, torchscript or reference. auto takes the fastest that runs this model here; "
                   "rerankd inspect says which."},
        options.engine);
  visit(
      OptionInfo{
          "precision", "P", "Engine",
          "auto, fp32, fp16, bf16, int8 or fp8, of which an engine has some. auto: bf16 where the CPU multiplies it "
          "faster, else fp32. int8 is faster "
          "still and changes scores most: compare rankings on your own documents first. fp8 is the CUDA engine's, for "
          "GPUs "
          "from compute capability 8.9 (Ada, Hopper); it changes scores as int8 does, and its speed is not known yet."},
      options.precision);
  visit(OptionInfo{"kernel", "TIER", "Engine",
                   "auto, amx, avx512bf16, avx512, avx512vnni-bf16, avx512vnni, avx2 or portable: force a kernel tier, "
                   "to compare or to "
                   "diagnose."},
        options.kernel);
  visit(
      OptionInfo{
          "devices", "NAME[,NAME...]", "Engine",
          "GPUs of the CUDA engine by number, and cpu: 0,1 or cpu,0. Each batch is shared out among them by the speed "
          "they show, and a device that fails is taken out. Beside cpu, scores come from both precisions. "
          "Default: GPU 0 where there is one, else the CPU."},
      options.devices);
  visit(OptionInfo{"threads", "N", "Engine",
                   "Compute threads. 0: one per core this process may use (cgroup limits count)."},
        options.threads);
  visit(
      OptionInfo{
          "pin-threads", "BOOL", "Engine",
          "The cpu engine's threads stay on one core each, NUMA node after NUMA node. For a machine, or a "
          "--cpuset, that nothing else works on: beside other work a pinned thread waits where another would move."},
      options.pin_threads);
  visit(
      OptionInfo{"weight-cache", "DIR", "Engine",
                 "Keep the cpu engine's packed weights in files there: later starts map them instead of packing, and "
                 "processes that serve one model share their memory. A folder that only you can write. Default: none, "
                 "for it takes as much disk as the weights, and on huge pages of its own memory a process is a little "
                 "faster."},
      options.weight_cache);
  visit(OptionInfo{"weight-cache-bytes", "N", "Engine",
                   "Most that --weight-cache keeps; the least recently used weights leave. The default holds a handful "
                   "of large models."},
        options.weight_cache_bytes);
  visit(
      OptionInfo{
          "tuning-cache", "DIR", "Engine",
          "Where the cuda engine keeps which algorithms are the fastest on this GPU, in a small file for each kind "
          "of GPU and driver: it tries some when it meets a product's shape for the first time, some milliseconds "
          "each. none: nowhere, and each start tries anew. Default: ~/.cache/rerankd/tuning; of a library's "
          "reranker: none."},
      options.tuning_cache);
  visit(
      OptionInfo{
          "cuda-graphs", "BOOL", "Engine",
          "The cuda engine starts small batches as CUDA graphs, which takes the host less time. Scores are the same: "
          "off to compare or to diagnose."},
      options.cuda_graphs);
  visit(
      OptionInfo{
          "cuda-overlap", "BOOL", "Engine",
          "The cuda engine takes the next batch in while it computes one. Scores are the same: off to compare or to "
          "diagnose."},
      options.cuda_overlap);
  visit(OptionInfo{"layers", "N", "Engine",
                   "Compute only the first N layers. 0: all. Ruins most models without --exits; `rerankd calibrate` "
                   "says what it costs. Requests may say otherwise."},
        options.layers);
  visit(OptionInfo{"exits", "DIR", "Engine",
                   "Exit heads that `rerankd calibrate` has fitted to this model: what fewer layers are read by."},
        options.exits);
  visit(OptionInfo{"onnx-file", "FILE", "Engine",
                   "The graph for --engine onnx, in the model folder or by its path. Default: model.onnx or "
                   "onnx/model.onnx; with --precision int8 or fp16 the file whose name says so."},
        options.onnx_file);
  visit(OptionInfo{"onnx-provider", "NAME[:K=V;...][,NAME...]", "Engine",
                   "ONNX Runtime's execution providers, first preferred, each with its options: "
                   "cuda:device_id=1,cpu. cpu, and what the library has besides: cuda, tensorrt, openvino, dnnl, ..."},
        options.onnx_provider);
  visit(
      OptionInfo{"onnx-split", "BOOL", "Engine",
                 "Compute a batch as small blocks side by side, a thread for each, where it is enough for that: faster "
                 "than all threads on one block. Takes the weights' memory twice; false where that is too much."},
      options.onnx_split);
  visit(OptionInfo{"onnxruntime-library", "FILE", "Engine",
                   "libonnxruntime.so, 1.21 or later. Default: where tools/setup.sh put it, else the system's."},
        options.onnxruntime_library);
  visit(OptionInfo{"target-agreement", "SHARE", "Engine",
                   "Adaptive depth: of a request with top_n, documents that are surely not among the best leave at the "
                   "exits of --exits; the others get their exact scores. 0.99: of a hundred results that all layers "
                   "would have put first, one may be missing. 0: off. `rerankd calibrate` says what it saves."},
        options.target_agreement);
  visit(
      OptionInfo{"torchscript-file", "FILE", "Engine",
                 "The torch.jit file for --engine torchscript, in the model folder or by its path. Default: model.pt, "
                 "*traced*.pt or *.torchscript."},
      options.torchscript_file);
  visit(OptionInfo{"max-length", "TOKENS", "Texts",
                   "Longest pair scored, special tokens included; longer ones are cut. 0: what the model's "
                   "config.json recommends (rerankd.max_length), else its limit. Lower it (512, 1024) to bound the "
                   "time that one "
                   "long document can take."},
        options.max_length);
  visit(
      OptionInfo{"truncation", "HOW", "Texts",
                 "What is kept of documents over the limit: auto (what the model's config.json recommends as "
                 "rerankd.truncation, else head), head, tail, head-tail, query-aware (the windows that share "
                 "most with the query; costs no more than head), or chunks (all of it, in overlapping pieces; costs as "
                 "much as the document is long). Requests may say otherwise."},
      options.truncation);
  visit(OptionInfo{"chunk-score", "HOW", "Texts",
                   "How the logits of chunks become a document's: max, mean, or topN (top2: mean of the best two)."},
        options.chunk_score);
  visit(OptionInfo{"chunk-overlap", "TOKENS", "Texts",
                   "Tokens that neighbouring chunks share, so that no sentence is torn."},
        options.chunk_overlap);
  visit(
      OptionInfo{"max-chunks", "N", "Texts", "Chunks of one document; what lies behind them is cut. Bounds its time."},
      options.max_chunks);
  visit(OptionInfo{"max-batch-tokens", "TOKENS", "Limits",
                   "Tokens computed together. Larger: more throughput under load, longer waits for small requests. "
                   "Where a GPU's "
                   "free memory holds less, that is the bound, and the log says so."},
        options.max_batch_tokens);
  visit(
      OptionInfo{"max-batch-ms", "MS", "Limits",
                 "Predicted time of one batch at most: a small request that comes while a batch runs waits that long. "
                 "Lower it for shorter waits; below about 20 ms batches get too small to fill many cores."},
      options.max_batch_ms);
  visit(OptionInfo{"max-wait-us", "US", "Limits",
                   "How long an idle engine waits for more work, when requests come closer together than that. 0: it "
                   "starts at once. The packed CPU engine computes small batches as efficiently as large ones, so that "
                   "waiting gains nothing; raise it for an engine that needs large batches."},
        options.max_wait_us);
  visit(
      OptionInfo{"queue-stretch", "N", "Limits",
                 "A request's place in the queue is its arrival plus this many times its own predicted time. Larger: "
                 "small requests overtake large ones that came longer before them. 0: first come, first served. At 2, "
                 "a large request takes at most three times as long as alone because of small ones."},
      options.queue_stretch);
  visit(OptionInfo{"queue-policy", "POLICY", "Limits",
                   "shed: a request over the bounds of the queue is refused, 429 with Retry-After, so that its client "
                   "can go elsewhere. wait: it is held, whole, until there is room or its deadline passes; for clients "
                   "that cannot try again."},
        options.queue_policy);
  visit(OptionInfo{"max-queued-tokens", "TOKENS", "Limits",
                   "Tokens that may wait, which bounds their memory (8 bytes each); see --queue-policy."},
        options.max_queued_tokens);
  visit(
      OptionInfo{"max-queue-ms", "MS", "Limits",
                 "Predicted wait up to which a request is queued; see --queue-policy. Many clients give up after 30 s: "
                 "work that would begin later is done for nobody. 0: no bound."},
      options.max_queue_ms);
  visit(OptionInfo{"max-held-requests", "N", "Limits",
                   "Requests held at once under --queue-policy wait; further ones are refused."},
        options.max_held_requests);
  visit(OptionInfo{"max-documents", "N", "Limits", "Documents in one request; more is an error."},
        options.max_documents);
  visit(OptionInfo{"tokenizer-threads", "N", "Limits", "Threads that turn text into token ids. 0: as --threads."},
        options.tokenizer_threads);
  visit(
      OptionInfo{"cache-bytes", "BYTES", "Limits",
                 "Memory for scores of pairs seen before, 96 bytes each; such a pair costs microseconds. 0: no cache."},
      options.cache_bytes);
  visit(
      OptionInfo{
          "cache-ttl-seconds", "S", "Limits",
          "How long a cached score is used. Scores never go stale by themselves; lower it only to bound what is kept."},
      options.cache_ttl_seconds);
  visit(OptionInfo{"token-cache-bytes", "BYTES", "Limits",
                   "Memory for token ids of documents seen before, 4 bytes a token: such a document is not tokenized "
                   "again for another query. 0: none."},
        options.token_cache_bytes);
  visit(
      OptionInfo{
          "cache-url", "URL", "Limits",
          "A Redis or Valkey server that replicas share scores through: redis://[[user]:password@]host[:port][/db], "
          "or valkey://. When it is slow or gone, the server goes on without it. With a password, better set as "
          "RERANKD_CACHE_URL: flags can be seen by other users of the machine."},
      options.cache_url);
  visit(OptionInfo{"cache-secret", "SECRET", "Limits",
                   "Secret that keys in --cache-url are made with, the same for all replicas; better set as "
                   "RERANKD_CACHE_SECRET. Without it, who may send texts can make two that have one key, and so have "
                   "one scored as the other. Default: the password of --cache-url."},
        options.cache_secret);
  visit(
      OptionInfo{
          "cache-timeout-ms", "MS", "Limits",
          "How long a request waits for --cache-url. Then it is computed, and the shared cache is left alone for "
          "a while. About the time of computing a few pairs: waiting longer gains nothing."},
      options.cache_timeout_ms);
  visit(
      OptionInfo{
          "shadow-rate", "SHARE", "Watching",
          "Share of requests (0.01: one in a hundred) scored again in idle time at full depth and in fp32, to measure "
          "what precision and depth cost in agreement on your own traffic; see docs/metrics.md. Takes the memory of a "
          "second engine. 0: none."},
      options.shadow_rate);
  visit(OptionInfo{"shadow-queue-bytes", "BYTES", "Watching",
                   "Texts of such requests that may wait for idle time; more are not scored again."},
        options.shadow_queue_bytes);
}

template <class O, class Visit>
void visit_options(O& options, Visit&& visit) requires requires {
  options.host;
}
{
  visit(OptionInfo{"host", "ADDRESS", "Server", "Address to listen on; 0.0.0.0 or :: for all."}, options.host);
  visit(OptionInfo{"port", "PORT", "Server", "TCP port; 0 picks a free one and prints it."}, options.port);
  visit(OptionInfo{"grpc-port", "PORT", "Server",
                   "TCP port for gRPC, on the same address: tei.v1, rerank.v1, health and reflection. 0: no gRPC."},
        options.grpc_port);
  visit(OptionInfo{"io-threads", "N", "Server",
                   "Threads that read and write sockets. One is enough below 10,000 requests/s."},
        options.io_threads);
  visit(
      OptionInfo{"parse-threads", "N", "Server",
                 "Threads that decompress, read and write JSON, and serve /tokenize: apart from --io-threads, so that "
                 "probes are answered whatever requests cost to read."},
      options.parse_threads);
  visit(
      OptionInfo{
          "max-memory-bytes", "BYTES", "Server",
          "Memory that all requests together may hold, from the first byte of a body to the last byte of its answer: "
          "what arrives, what it is decompressed and tokenized to, and answers that clients have not taken. Further "
          "requests are answered 503; one client address may hold half. 0: a quarter of what the process may use "
          "(cgroup limits count), 256 MiB at least."},
      options.max_memory_bytes);
  visit(OptionInfo{"max-body-bytes", "BYTES", "Server", "Largest request body; more is answered 413."},
        options.max_body_bytes);
  visit(OptionInfo{"max-header-bytes", "BYTES", "Server", "Largest request head; more is answered 431."},
        options.max_header_bytes);
  visit(OptionInfo{"max-connections", "N", "Server", "Open connections; further ones are answered 503 and closed."},
        options.max_connections);
  visit(OptionInfo{"header-timeout-ms", "MS", "Server", "Time a client has to send a request's head, once begun."},
        options.header_timeout_ms);
  visit(OptionInfo{"body-timeout-ms", "MS", "Server",
                   "Time a client may pause while sending a body or taking an answer."},
        options.body_timeout_ms);
  visit(OptionInfo{"min-transfer-rate", "BYTES", "Server",
                   "Bytes a second that a client must send of a body, or take of an answer, on the average and after "
                   "--body-timeout-ms: slower ones are closed, so that nobody holds memory by the byte. 0: no such "
                   "bound."},
        options.min_transfer_rate);
  visit(OptionInfo{"idle-timeout-ms", "MS", "Server", "Time a kept-alive connection may be idle."},
        options.idle_timeout_ms);
  visit(OptionInfo{"drain-timeout-ms", "MS", "Server", "Time that requests in flight have to finish after SIGTERM."},
        options.drain_timeout_ms);
  visit(OptionInfo{"request-timeout-ms", "MS", "Server",
                   "Time that a request has which does not say how long its client waits (see docs/http-api.md). What "
                   "cannot be done in time is refused when it comes; what is not done in time is answered 504. The "
                   "longest time-out of known clients. 0: none."},
        options.request_timeout_ms);
  visit(
      OptionInfo{
          "return-documents", "BOOL", "Server",
          "Send documents back in Cohere/Jina-style answers when the client does not say. Some clients need it; off "
          "saves about 100 KB per RAGFlow question."},
      options.return_documents);
  visit(
      OptionInfo{
          "compress-min-bytes", "BYTES", "Server",
          "Smallest answer that is compressed for clients that accept it. 0: none is; fastest on a fast network."},
      options.compress_min_bytes);
  visit(OptionInfo{"api-key", "KEY[,KEY...]", "Server",
                   "Keys of which clients must send one (Authorization: Bearer KEY). Health and metrics stay open. "
                   "Better set as "
                   "RERANKD_API_KEY: flags can be seen by other users of the machine. Empty: no key is asked for."},
        options.api_key);
  visit(
      OptionInfo{
          "api-key-file", "FILE", "Server",
          "More keys, one a line: NAME KEY [rate=REQUESTS_PER_SECOND] [priority=N]. Read again when it changes."},
      options.api_key_file);
  visit(OptionInfo{"cors-origin", "ORIGIN[,ORIGIN...]", "Server",
                   "Origins whose web pages may call this server, or *. Empty: none."},
        options.cors_origin);
  visit(OptionInfo{"read-only-metrics-address", "HOST:PORT", "Server",
                   "Serve /metrics and the health routes here, without keys and TLS, and /metrics no longer on the "
                   "main port: for a "
                   "private network that Prometheus and probes are in."},
        options.read_only_metrics_address);
  visit(
      OptionInfo{"tls-cert", "FILE", "Server",
                 "Certificate chain (PEM), the server's own first: HTTP and gRPC are then served over TLS 1.2 and 1.3 "
                 "only. Read again when it changes."},
      options.tls_cert);
  visit(OptionInfo{"tls-key", "FILE", "Server", "Private key (PEM) of --tls-cert, without a passphrase."},
        options.tls_key);
  visit(
      OptionInfo{
          "tls-client-ca", "FILE", "Server",
          "Certificates (PEM) of authorities: clients must show a certificate that one of them has signed. Empty: "
          "none is asked for."},
      options.tls_client_ca);
  visit(
      OptionInfo{
          "user", "NAME", "Server",
          "Become this user, and give up all privileges, once the port is bound: for a start as root, which a port "
          "below 1024 may need. The model, key and certificate files must be readable for it. Better: systemd's "
          "sockets (docs/operating.md)."},
      options.user);
  visit(OptionInfo{"tei-metrics", "BOOL", "Watching",
                   "Export metrics under the names of Text Embeddings Inference as well, for dashboards made for it."},
        options.tei_metrics);
  visit(
      OptionInfo{
          "request-log-rate", "LINES", "Watching",
          "Log lines about requests in a second at most, and as many about requests that were refused or failed: "
          "bounds what load costs the log. Never their texts. 0: none."},
      options.request_log_rate);
  visit(OptionInfo{"otlp-endpoint", "URL", "Watching",
                   "OpenTelemetry collector that gets the spans of requests, as OTLP over HTTP: http://HOST:4318. "
                   "Empty: none.",
                   "OTEL_EXPORTER_OTLP_ENDPOINT"},
        options.otlp_endpoint);
  visit(OptionInfo{"otlp-headers", "NAME=VALUE[,...]", "Watching",
                   "Headers that the collector wants, such as a key; better set in the environment.",
                   "OTEL_EXPORTER_OTLP_HEADERS"},
        options.otlp_headers);
  visit(OptionInfo{"service-name", "NAME", "Watching", "What spans say this server is.", "OTEL_SERVICE_NAME"},
        options.service_name);
  visit(OptionInfo{"trace-rate", "SHARE", "Watching",
                   "Share of requests traced whose caller does not say (W3C traceparent); who says is obeyed."},
        options.trace_rate);
  visit(OptionInfo{"trace-queue", "REQUESTS", "Watching",
                   "Traced requests that may wait for the collector; more are dropped. About 300 bytes each."},
        options.trace_queue);
}

}  // namespace rerank

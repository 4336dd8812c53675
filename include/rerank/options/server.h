// What the server needs besides: sockets, limits of HTTP, keys, TLS, logs and traces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "rerank/choice.h"
#include "rerank/options/models.h"
#include "rerank/options/option_info.h"

namespace rerank {

// How a body with `documents`, which many clients send, is answered.
enum class AnswerForm { kCommon, kSglang };
template <>
struct Choices<AnswerForm> {
  static constexpr Choice<AnswerForm> kAll[] = {{AnswerForm::kCommon, "common"}, {AnswerForm::kSglang, "sglang"}};
};

// The HTTP status of what is more than the queue takes.
enum class OverloadStatus { k429, k503 };
template <>
struct Choices<OverloadStatus> {
  static constexpr Choice<OverloadStatus> kAll[] = {{OverloadStatus::k429, "429"}, {OverloadStatus::k503, "503"}};
};

struct ServerOptions {
  std::string host = "127.0.0.1";
  static constexpr OptionInfo kHost{"host", "ADDRESS", "Server", "Address to listen on; 0.0.0.0 or :: for all."};

  uint16_t port = 8080;
  static constexpr OptionInfo kPort =
      OptionInfo{"port", "PORT", "Server", "TCP port; 0 picks a free one and prints it."}.within(0, 65535);

  uint16_t grpc_port = 0;
  static constexpr OptionInfo kGrpcPort =
      OptionInfo{"grpc-port", "PORT", "Server",
                 "TCP port for gRPC, on the same address: tei.v1, rerank.v1, health and reflection. 0: no gRPC."}
          .within(0, 65535);

  size_t io_threads = 1;
  static constexpr OptionInfo kIoThreads =
      OptionInfo{"io-threads", "N", "Server",
                 "Threads that read and write sockets. One is enough below 10,000 requests/s."}
          .within(1, 256);

  size_t parse_threads = 2;
  static constexpr OptionInfo kParseThreads = OptionInfo{"parse-threads", "N", "Server",
                                                         "Threads that decompress, read and write JSON, and serve "
                                                         "/tokenize: apart from --io-threads, so that probes are "
                                                         "answered whatever requests cost to read."}
                                                  .within(1, 1024);

  size_t max_memory_bytes = 0;
  static constexpr OptionInfo kMaxMemoryBytes = OptionInfo{"max-memory-bytes", "BYTES", "Server",
                                                           "Memory that all requests together may hold, from the first "
                                                           "byte of a body to the last byte of its answer: what "
                                                           "arrives, what it is decompressed and tokenized to, and "
                                                           "answers that clients have not taken. Further requests "
                                                           "are "
                                                           "answered 503; one client address may hold half. 0: a "
                                                           "quarter of what the process may use (cgroup limits count), "
                                                           "256 MiB at least."}
                                                    .within(0, kMostBytes);

  size_t max_body_bytes = 32u << 20;
  static constexpr OptionInfo kMaxBodyBytes =
      OptionInfo{"max-body-bytes", "BYTES", "Server", "Largest request body; more is answered 413."}.within(1024,
                                                                                                            4000000000);

  size_t max_header_bytes = 16u << 10;
  static constexpr OptionInfo kMaxHeaderBytes =
      OptionInfo{"max-header-bytes", "BYTES", "Server", "Largest request head; more is answered 431."}.within(1024,
                                                                                                              1048576);

  size_t max_connections = 4096;
  static constexpr OptionInfo kMaxConnections =
      OptionInfo{"max-connections", "N", "Server",
                 "Open connections of each port, half of them of one client address; further "
                 "ones are answered 503 and closed."}
          .within(1, 1000000);

  size_t header_timeout_ms = 10000;
  static constexpr OptionInfo kHeaderTimeoutMs =
      OptionInfo{"header-timeout-ms", "MS", "Server", "Time a client has to send a request's head, once begun."}.within(
          1, kDayMs);

  size_t body_timeout_ms = 60000;
  static constexpr OptionInfo kBodyTimeoutMs =
      OptionInfo{"body-timeout-ms", "MS", "Server", "Time a client may pause while sending a body or taking an answer."}
          .within(1, kDayMs);

  size_t min_transfer_rate = 64u << 10;
  static constexpr OptionInfo kMinTransferRate =
      OptionInfo{"min-transfer-rate", "BYTES", "Server",
                 "Bytes a second that a client must send of a body, or take of an answer, on the average and after "
                 "--body-timeout-ms: slower ones are closed, so that no client holds memory by sending a byte now and "
                 "then. 0: no such bound."}
          .within(0, kMostBytes);

  size_t idle_timeout_ms = 75000;
  static constexpr OptionInfo kIdleTimeoutMs =
      OptionInfo{"idle-timeout-ms", "MS", "Server", "Time a kept-alive connection may be idle."}.within(1, kDayMs);

  size_t drain_timeout_ms = 30000;
  static constexpr OptionInfo kDrainTimeoutMs =
      OptionInfo{"drain-timeout-ms", "MS", "Server", "Time that requests in flight have to finish after SIGTERM."}
          .within(0, kDayMs);

  size_t drain_delay_ms = 0;
  static constexpr OptionInfo kDrainDelayMs =
      OptionInfo{"drain-delay-ms", "MS", "Server",
                 "Time between SIGTERM and the end of listening: health answers 503 already, and requests are taken as "
                 "before, so that balancers send them elsewhere before anything is refused."}
          .within(0, 3600000);

  OverloadStatus overload_status = OverloadStatus::k429;
  static constexpr OptionInfo kOverloadStatus{
      "overload-status", "STATUS", "Server",
      "How requests beyond the queue's bounds are answered, with Retry-After: 429, or 503 for balancers that cannot "
      "send "
      "a 429 elsewhere (HAProxy 2.6). A key over its own rate gets 429 in any case."};

  size_t grpc_connection_age_ms = 0;
  static constexpr OptionInfo kGrpcConnectionAgeMs =
      OptionInfo{
          "grpc-connection-age-ms", "MS", "Server",
          "Time after which clients of gRPC are asked to connect anew, once what they have asked is answered: so "
          "they find replicas that were added. Each connection gets a tenth more or less. 0: never."}
          .within(0, kDayMs);

  size_t request_timeout_ms = 300000;
  static constexpr OptionInfo kRequestTimeoutMs =
      OptionInfo{
          "request-timeout-ms", "MS", "Server",
          "Time that a request has when it does not say how long its client waits (see docs/http-api.md). What cannot "
          "be done in time is refused when it comes; what is not done in time is answered 504. The longest time-out of "
          "known clients. 0: none."}
          .within(0, kDayMs);

  bool return_documents = true;
  static constexpr OptionInfo kReturnDocuments{
      "return-documents", "BOOL", "Server",
      "Send documents back in Cohere/Jina-style answers when the client does not say. Some clients need it; off "
      "saves about 100 KB per RAGFlow question."};

  AnswerForm answer_as = AnswerForm::kCommon;
  static constexpr OptionInfo kAnswerAs{
      "answer-as", "FORM", "Server",
      "How requests with `documents` are answered: common, as Cohere, Jina and vLLM do, or sglang, a bare array, for "
      "Milvus' provider sglang and SGLang's own clients, whose requests are the same."};

  size_t compress_min_bytes = 16u << 10;
  static constexpr OptionInfo kCompressMinBytes =
      OptionInfo{
          "compress-min-bytes", "BYTES", "Server",
          "Smallest answer that is compressed for clients that accept it. 0: none is; fastest on a fast network."}
          .within(0, kMostBytes);

  std::string api_key;
  static constexpr OptionInfo kApiKey{
      "api-key", "KEY[,KEY...]", "Server",
      "Keys of which clients must send one (Authorization: Bearer KEY). Health and metrics stay open. Better set as "
      "RERANKD_API_KEY: flags can be seen by other users of the machine. Empty: no key is asked for."};

  std::string api_key_file;
  static constexpr OptionInfo kApiKeyFile{"api-key-file", "FILE", "Server",
                                          "More keys, one a line: NAME KEY [rate=REQUESTS_PER_SECOND] "
                                          "[tokens=TOKENS_PER_SECOND] [priority=N]. Read again when it changes."};

  std::string cors_origin;
  static constexpr OptionInfo kCorsOrigin{"cors-origin", "ORIGIN[,ORIGIN...]", "Server",
                                          "Origins whose web pages may call this server, or *. Empty: none."};

  std::string read_only_metrics_address;
  static constexpr OptionInfo kReadOnlyMetricsAddress{
      "read-only-metrics-address", "HOST:PORT", "Server",
      "Serve /metrics and the health routes here, without keys and TLS, and /metrics no longer on the main port: "
      "for a private network that Prometheus and probes are in."};

  std::string tls_cert;
  static constexpr OptionInfo kTlsCert{
      "tls-cert", "FILE", "Server",
      "Certificate chain (PEM), the server's own first: HTTP and gRPC are then served over TLS 1.2 and 1.3 only. "
      "Read again when it changes."};

  std::string tls_key;
  static constexpr OptionInfo kTlsKey{"tls-key", "FILE", "Server",
                                      "Private key (PEM) of --tls-cert, without a passphrase."};

  std::string tls_client_ca;
  static constexpr OptionInfo kTlsClientCa{
      "tls-client-ca", "FILE", "Server",
      "Certificates (PEM) of authorities: clients must show a certificate that one of them has signed. Empty: none "
      "is asked for."};

  std::string user;
  static constexpr OptionInfo kUser{
      "user", "NAME", "Server",
      "Become this user, and give up all privileges, once the port is bound: for a start as root, which a port "
      "below 1024 may need. The model, key and certificate files must be readable for it. Better: systemd's sockets "
      "(docs/operating.md)."};

  bool tei_metrics = false;
  static constexpr OptionInfo kTeiMetrics{
      "tei-metrics", "BOOL", "Watching",
      "Export metrics under the names of Text Embeddings Inference as well, for dashboards made for it."};

  size_t request_log_rate = 20;
  static constexpr OptionInfo kRequestLogRate = OptionInfo{"request-log-rate", "LINES", "Watching",
                                                           "Log lines about requests in a second at most, and as many "
                                                           "about requests that were refused or failed: bounds "
                                                           "what load costs the log. Never their texts. 0: none."}
                                                    .within(0, 1000000);

  std::string otlp_endpoint;
  static constexpr OptionInfo kOtlpEndpoint{
      "otlp-endpoint", "URL", "Watching",
      "OpenTelemetry collector that gets the spans of requests, as OTLP over HTTP: http://HOST:4318. Empty: none.",
      "OTEL_EXPORTER_OTLP_ENDPOINT"};

  std::string otlp_headers;
  static constexpr OptionInfo kOtlpHeaders{
      "otlp-headers", "NAME=VALUE[,...]", "Watching",
      "Headers that the collector wants, such as a key; better set in the environment.", "OTEL_EXPORTER_OTLP_HEADERS"};

  std::string service_name = "rerankd";
  static constexpr OptionInfo kServiceName{"service-name", "NAME", "Watching", "What spans say this server is.",
                                           "OTEL_SERVICE_NAME"};

  double trace_rate = 1;
  static constexpr OptionInfo kTraceRate =
      OptionInfo{"trace-rate", "SHARE", "Watching",
                 "Share of requests traced whose caller does not say (W3C traceparent). A caller's choice is obeyed."}
          .within(0, 1);

  size_t trace_queue = 2048;
  static constexpr OptionInfo kTraceQueue =
      OptionInfo{"trace-queue", "REQUESTS", "Watching",
                 "Traced requests that may wait for the collector; more are dropped. About 300 bytes each."}
          .within(1, 10000000);

  ModelsOptions models;

  // A socket that is bound already, for the server to listen on and close; -1: it binds one itself. Not a setting.
  int bound_socket = -1;
  int bound_grpc_socket = -1;

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    ModelsOptions::visit(options.models, visit_field);
    visit_field(kHost, options.host);
    visit_field(kPort, options.port);
    visit_field(kGrpcPort, options.grpc_port);
    visit_field(kIoThreads, options.io_threads);
    visit_field(kParseThreads, options.parse_threads);
    visit_field(kMaxMemoryBytes, options.max_memory_bytes);
    visit_field(kMaxBodyBytes, options.max_body_bytes);
    visit_field(kMaxHeaderBytes, options.max_header_bytes);
    visit_field(kMaxConnections, options.max_connections);
    visit_field(kHeaderTimeoutMs, options.header_timeout_ms);
    visit_field(kBodyTimeoutMs, options.body_timeout_ms);
    visit_field(kMinTransferRate, options.min_transfer_rate);
    visit_field(kIdleTimeoutMs, options.idle_timeout_ms);
    visit_field(kDrainTimeoutMs, options.drain_timeout_ms);
    visit_field(kDrainDelayMs, options.drain_delay_ms);
    visit_field(kOverloadStatus, options.overload_status);
    visit_field(kGrpcConnectionAgeMs, options.grpc_connection_age_ms);
    visit_field(kRequestTimeoutMs, options.request_timeout_ms);
    visit_field(kReturnDocuments, options.return_documents);
    visit_field(kAnswerAs, options.answer_as);
    visit_field(kCompressMinBytes, options.compress_min_bytes);
    visit_field(kApiKey, options.api_key);
    visit_field(kApiKeyFile, options.api_key_file);
    visit_field(kCorsOrigin, options.cors_origin);
    visit_field(kReadOnlyMetricsAddress, options.read_only_metrics_address);
    visit_field(kTlsCert, options.tls_cert);
    visit_field(kTlsKey, options.tls_key);
    visit_field(kTlsClientCa, options.tls_client_ca);
    visit_field(kUser, options.user);
    visit_field(kTeiMetrics, options.tei_metrics);
    visit_field(kRequestLogRate, options.request_log_rate);
    visit_field(kOtlpEndpoint, options.otlp_endpoint);
    visit_field(kOtlpHeaders, options.otlp_headers);
    visit_field(kServiceName, options.service_name);
    visit_field(kTraceRate, options.trace_rate);
    visit_field(kTraceQueue, options.trace_queue);
  }
};

}  // namespace rerank

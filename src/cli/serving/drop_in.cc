#include "cli/serving/drop_in.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <string_view>

#include "base/strings.h"
#include "cli/environment.h"

namespace rerank::cli {
namespace {

enum class Value { kTaken, kNone, kOptional };  // of their flag: followed by one, never, or only as =VALUE

struct Row {
  const char* flag;      // theirs, without --
  const char* variable;  // theirs; null: none
  const char* ours;      // the setting's name; null: it cannot be honoured
  const char* note;      // why not, or what else is to be known; null: nothing
  Value value = Value::kTaken;
};

constexpr const char* kOwnBatching =
    "requests share batches by their tokens (--max-batch-tokens) and time (--max-batch-ms)";
constexpr const char* kOneScore = "a reranker has one score";

// text-embeddings-inference. `port`, `revision`, `api-key` and others have our names: only their variables differ.
constexpr Row kTei[] = {
    {"model-id", "MODEL_ID", "model", nullptr},
    {"revision", "REVISION", "revision", nullptr},
    {"tokenization-workers", "TOKENIZATION_WORKERS", "tokenizer-threads", nullptr},
    {"dtype", "DTYPE", "precision", nullptr},
    {"served-model-name", "SERVED_MODEL_NAME", "served-model-name", nullptr},
    {"pooling", "POOLING", nullptr, kOneScore},
    {"max-concurrent-requests", "MAX_CONCURRENT_REQUESTS", nullptr,
     "what may wait is bounded by --max-queue-ms and --max-queued-tokens"},
    {"max-batch-tokens", "MAX_BATCH_TOKENS", "max-batch-tokens", nullptr},
    {"max-batch-requests", "MAX_BATCH_REQUESTS", nullptr, kOwnBatching},
    {"max-client-batch-size", "MAX_CLIENT_BATCH_SIZE", "max-documents", nullptr},
    {"auto-truncate", "AUTO_TRUNCATE", nullptr, "long pairs are cut, unless a request says \"truncate\": false",
     Value::kOptional},
    {"default-prompt-name", "DEFAULT_PROMPT_NAME", nullptr, "rerankers' prompts: --template and --instruction"},
    {"default-prompt", "DEFAULT_PROMPT", "instruction", nullptr},
    {"dense-path", "DENSE_PATH", nullptr, kOneScore},
    {"hf-api-token", "HF_API_TOKEN", "hub-token", nullptr},
    {"hf-token", nullptr, "hub-token", nullptr},
    {"hostname", nullptr, "host", nullptr},
    {"port", "PORT", "port", nullptr},
    {"uds-path", "UDS_PATH", nullptr, "gRPC is served at --grpc-port"},
    {"huggingface-hub-cache", nullptr, "hub-cache", nullptr},
    {"payload-limit", "PAYLOAD_LIMIT", "max-body-bytes", nullptr},
    {"api-key", "API_KEY", "api-key", nullptr},
    {"json-output", "JSON_OUTPUT", "log-format", nullptr, Value::kNone},
    {"disable-spans", "DISABLE_SPANS", nullptr, "spans are sent only to --otlp-endpoint", Value::kNone},
    {"otlp-endpoint", "OTLP_ENDPOINT", "otlp-endpoint", "spans go out as OTLP over HTTP: port 4318, not 4317"},
    {"otlp-service-name", "OTLP_SERVICE_NAME", "service-name", nullptr},
    {"prometheus-port", nullptr, nullptr,
     "/metrics is on the main port; --read-only-metrics-address puts it elsewhere"},
    {"cors-allow-origin", "CORS_ALLOW_ORIGIN", "cors-origin", nullptr},
};

constexpr Row kInfinity[] = {
    {"model-id", "INFINITY_MODEL_ID", "model", nullptr},
    {"host", "INFINITY_HOST", "host", nullptr},
    {"port", "INFINITY_PORT", "port", nullptr},
    {"api-key", "INFINITY_API_KEY", "api-key", nullptr},
    {"revision", "INFINITY_REVISION", "revision", nullptr},
    {"served-model-name", "INFINITY_SERVED_MODEL_NAME", "served-model-name", nullptr},
    {"batch-size", "INFINITY_BATCH_SIZE", nullptr, kOwnBatching},
    {"dtype", "INFINITY_DTYPE", "precision", nullptr},
    {"device", "INFINITY_DEVICE", nullptr, "--engine auto takes a GPU where there is one; --devices names some"},
    {"device-id", "INFINITY_DEVICE_ID", nullptr, "--devices names GPUs"},
    {"url-prefix", "INFINITY_URL_PREFIX", nullptr, "any prefix is served"},
    {"model-warmup", "INFINITY_MODEL_WARMUP", nullptr, "models are always warmed up", Value::kOptional},
    {"no-model-warmup", nullptr, nullptr, "models are always warmed up", Value::kNone},
    {"vector-disk-cache", "INFINITY_VECTOR_DISK_CACHE", nullptr,
     "scores are cached in memory (--cache-bytes, --cache-url)", Value::kOptional},
    {"no-vector-disk-cache", nullptr, nullptr, "--cache-bytes 0 keeps no scores", Value::kNone},
    {"trust-remote-code", "INFINITY_TRUST_REMOTE_CODE", nullptr, "code of a model's folder is never run",
     Value::kOptional},
    {"no-trust-remote-code", nullptr, nullptr, "code of a model's folder is never run", Value::kNone},
    {"permissive-cors", "INFINITY_PERMISSIVE_CORS", "cors-origin", nullptr, Value::kNone},
    {"bettertransformer", "INFINITY_BETTERTRANSFORMER", nullptr, "attention is packed in any case", Value::kOptional},
    {"compile", "INFINITY_COMPILE", nullptr, "nothing is compiled at run time", Value::kOptional},
    {"lengths-via-tokenize", "INFINITY_LENGTHS_VIA_TOKENIZE", nullptr, "lengths are always tokens", Value::kOptional},
};

// Their value in our words; empty: the setting's default.
std::string translated(const Row& row, const std::string& value) {
  const std::string_view ours = row.ours;
  if (ours == "log-format") return "json";
  if (ours == "cors-origin" && row.value == Value::kNone) return "*";
  if (ours != "precision") return value;
  if (value == "float32") return "fp32";
  if (value == "float16" || value == "bfloat16" || value == "auto") return "auto";
  return value == "int8" || value == "fp8" ? value : "auto";
}

std::string variable_of(std::string_view setting) {
  if (setting == "hub-token") return "HF_TOKEN";
  if (setting == "hub-cache") return "HF_HUB_CACHE";
  if (setting == "otlp-endpoint") return "OTEL_EXPORTER_OTLP_ENDPOINT";
  if (setting == "service-name") return "OTEL_SERVICE_NAME";
  std::string name = str_cat("RERANKD_", setting);
  for (char& c : name) c = c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return name;
}

// Of the rows of both, TEI's first: flags that both have mean the same.
const Row* row_of(std::string_view flag) {
  for (const Row& row : kTei)
    if (flag == row.flag) return &row;
  for (const Row& row : kInfinity)
    if (flag == row.flag) return &row;
  return nullptr;
}

bool is_ours(const Row& row) { return row.ours != nullptr && std::string_view(row.flag) == row.ours; }

class Translation {
 public:
  std::vector<std::string> flags(const std::vector<std::string>& words) {
    std::vector<std::string> out;
    for (size_t i = 0; i < words.size(); ++i) {
      const std::string& word = words[i];
      const size_t equals = word.find('=');
      const std::string flag =
          word.starts_with("--") ? word.substr(2, equals == std::string::npos ? equals : equals - 2) : "";
      const Row* row = flag.empty() ? nullptr : row_of(flag);
      if (const size_t more = infinitys_engine(words, i, flag); more > 0) {
        i += more - 1;
        continue;
      }
      if (row == nullptr || is_ours(*row)) {
        out.push_back(word);
        continue;
      }
      std::string value = equals == std::string::npos ? "" : word.substr(equals + 1);
      const bool next = i + 1 < words.size() && !words[i + 1].starts_with("--");
      const bool takes = row->value == Value::kTaken || (row->value == Value::kOptional && next &&
                                                         (words[i + 1] == "true" || words[i + 1] == "false"));
      if (equals == std::string::npos && takes && next) value = words[++i];
      if (!note(*row, "--" + flag)) continue;
      out.push_back(str_cat("--", row->ours, "=", translated(*row, value)));
    }
    return out;
  }

  void variables(std::span<const Row> rows) {
    for (const Row& row : rows) {
      if (row.variable == nullptr) continue;
      const std::string value = variable(row.variable);
      if (value.empty() || value == "false" || !note(row, row.variable)) continue;
      ::setenv(variable_of(row.ours).c_str(), translated(row, value).c_str(), /*overwrite=*/0);
    }
  }

  std::vector<std::string> take_notes() { return std::move(notes_); }

 private:
  // How many words name one of infinity's engines, whose flag is called as ours.
  size_t infinitys_engine(const std::vector<std::string>& words, size_t i, const std::string& flag) {
    if (flag != "engine") return 0;
    const size_t equals = words[i].find('=');
    const size_t count = equals == std::string::npos ? 2 : 1;
    if (i + count > words.size()) return 0;
    const std::string value = count == 2 ? words[i + 1] : words[i].substr(equals + 1);
    for (const char* theirs : {"torch", "optimum", "ctranslate2", "neuron"}) {
      if (value != theirs) continue;
      notes_.push_back(str_cat("--engine ", value, " has no effect: the fastest engine that runs the model is taken"));
      return count;
    }
    return 0;
  }

  // Whether it is a setting of ours.
  bool note(const Row& row, const std::string& name) {
    if (row.ours == nullptr) {
      notes_.push_back(str_cat(name, " has no effect: ", row.note));
      return false;
    }
    notes_.push_back(str_cat(name, " is taken as --", row.ours, row.note ? str_cat("; ", row.note) : ""));
    return true;
  }

  std::vector<std::string> notes_;
};

}  // namespace

std::vector<std::string> take_other_servers_settings(std::vector<std::string>& words) {
  const bool bare =
      !words.empty() && words.front().starts_with("--") &&
      std::any_of(words.begin(), words.end(), [](const std::string& word) { return word.starts_with("--model-id"); });
  if (bare) words.insert(words.begin(), "serve");
  if (words.size() > 1 && words.front() == "v2" && words[1].starts_with("--")) words.front() = "serve";
  const bool started_by_variables = words.empty() && !variable("MODEL_ID").empty();
  if (started_by_variables) words = {"serve"};
  if (words.empty() || words.front() != "serve") return {};
  Translation translation;
  words = translation.flags(words);
  // Names as general as PORT are theirs only beside MODEL_ID.
  if (!variable("MODEL_ID").empty()) translation.variables(kTei);
  if (!variable("INFINITY_MODEL_ID").empty()) translation.variables(kInfinity);
  return translation.take_notes();
}

}  // namespace rerank::cli

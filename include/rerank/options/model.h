// A served model: where it comes from, what computes it, how its texts are read and how its requests wait.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "rerank/options/engine.h"
#include "rerank/options/option_info.h"
#include "rerank/options/queue.h"
#include "rerank/options/text.h"

namespace rerank {

struct SourceOptions {
  std::string model;
  static constexpr OptionInfo kModel{
      "model", "DIR|ID", "Model",
      "Hugging Face folder, or a hub id such as BAAI/bge-reranker-v2-m3 (found in the local hub cache, else "
      "downloaded). Default: the built-in English model rerankd-mini-en."};

  std::string served_model_name;
  static constexpr OptionInfo kServedModelName{
      "served-model-name", "NAME", "Model",
      "Model name shown to clients. Default: made from --model; contains \"rerank\", which RAGFlow looks for."};

  std::string revision = "main";
  static constexpr OptionInfo kRevision{"revision", "REV", "Model", "Branch, tag or commit of a hub model."};

  std::string hub_endpoint = "https://huggingface.co";
  static constexpr OptionInfo kHubEndpoint{
      "hub-endpoint", "URL", "Model", "Where hub ids are looked up: a mirror, or a hub of your own.", "HF_ENDPOINT"};

  std::string hub_token;
  static constexpr OptionInfo kHubToken{
      "hub-token", "TOKEN", "Model",
      "Access token for private or gated hub models; sent to the hub only, never where it redirects.", "HF_TOKEN"};

  std::string hub_cache;
  static constexpr OptionInfo kHubCache{
      "hub-cache", "DIR", "Model",
      "Where hub models are kept, shared with huggingface_hub. Default: $HF_HOME/hub, else ~/.cache/huggingface/hub.",
      "HF_HUB_CACHE"};

  bool hub_offline = false;
  static constexpr OptionInfo kHubOffline{"hub-offline", "BOOL", "Model", "Never download: only what the cache has.",
                                          "HF_HUB_OFFLINE"};

  // Called while a model is downloaded, about ten times a second; null: never. Not a setting.
  std::function<void(std::string_view file, uint64_t done_bytes, uint64_t total_bytes)> download_progress;

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kModel, options.model);
    visit_field(kServedModelName, options.served_model_name);
    visit_field(kRevision, options.revision);
    visit_field(kHubEndpoint, options.hub_endpoint);
    visit_field(kHubToken, options.hub_token);
    visit_field(kHubCache, options.hub_cache);
    visit_field(kHubOffline, options.hub_offline);
  }
};

struct ModelOptions {
  SourceOptions source;
  EngineOptions engine;
  TextOptions texts;
  QueueOptions queue;
};

}  // namespace rerank

// Models by hub id: found in the local Hugging Face cache, else downloaded into it over HTTPS.
//
// Cache layout, shared with huggingface_hub so that neither downloads what the other has:
//   HF_HOME/hub/models--ORG--NAME/refs/REVISION        the commit that a branch or tag stood at
//                                /snapshots/COMMIT/FILE  links into blobs/
//                                /blobs/ETAG            contents; ETAG.incomplete while loading
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>

#include "rerank/choice.h"
#include "rerank/status.h"

namespace rerank::model {

// What is wanted of a repository besides its configuration and tokenizer.
enum class HubFiles {
  kWeights,         // safetensors, else pytorch_model.bin
  kWeightsOrGraph,  // an ONNX graph where there are neither
  kGraph,           // an ONNX graph
  kNeither,         // the graph is elsewhere
};

struct HubOptions {
  std::string endpoint = "https://huggingface.co";
  std::string token;     // sent as a bearer token to the endpoint only, never to where it redirects
  std::string cache;     // HF_HOME/hub
  bool offline = false;  // only the cache
  // Told of progress about ten times a second and at each file's end; null: silent.
  std::function<void(std::string_view file, uint64_t done_bytes, uint64_t total_bytes)> progress;
  HubFiles files = HubFiles::kWeights;
  // Which graph: its name in the repository, else the usual ones of a precision (model/graphs.h).
  std::string onnx_file;
  Precision precision = Precision::kAuto;
  std::string gguf = {};  // a GGUF file of the repository, or a part of its name that only one has; empty: see below
  // For how long connecting, an answer's head, and a body that does not come on are waited for. What broke off is gone
  // on with as long as that brings it on, and given up after three tries in vain.
  std::chrono::seconds patience{30};
};

// "org/name" or "name", of the characters a hub id may have; never a path.
bool is_hub_id(std::string_view text);

// "org/name:FILE": a repository and a GGUF file of it, as HubOptions::gguf has it.
struct HubName {
  std::string id, gguf;
};
HubName split_hub_name(std::string_view text);

// The folder of the model's files, downloading what is missing: config.json, the tokenizer's files, and the safetensors
// weights or one graph with the files of weights that it names. Where a GGUF file is wanted, or there is one and no
// config.json, the path of that file, with what stands beside it. `revision`: a branch, tag, commit or pull request.
// Files that the hub has a checksum for (its large ones) are held against it; an https address never leads to an http
// one. Errors name the file, the address and what to do; a broken download is resumed by the next call, or begun again
// where the server cannot resume.
Result<std::string> fetch_from_hub(const std::string& id, const std::string& revision, const HubOptions& options);

// How many bytes the weights of a repository have, without downloading them. NotFound where it has none that we read.
Result<uint64_t> weight_bytes_on_hub(const std::string& id, const std::string& revision, const HubOptions& options);

}  // namespace rerank::model

#include "model/hub/remote_file.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <utility>

#include "base/hash.h"
#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model::hub {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 40;

bool is_hex(std::string_view text, size_t digits) {
  return text.size() == digits && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool is_commit(std::string_view text) { return is_hex(text, 40); }

// The etag of huggingface.co is the blob's name in the cache; other servers' may have any letters.
std::string blob_name(std::string etag) {
  if (etag.starts_with("W/")) etag = etag.substr(2);
  std::erase(etag, '"');
  return etag.empty() || is_safe_name(etag) ? etag : str_cat("etag-", sha256_hex(etag));
}

}  // namespace

bool is_safe_name(std::string_view name) {
  if (name.empty() || name.size() > 200 || name.find("..") != std::string_view::npos) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '_' || c == '.'; });
}

bool is_safe_path(std::string_view path) {
  while (!path.empty()) {
    const size_t slash = path.find('/');
    if (!is_safe_name(path.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
  return false;
}

bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > 200 || text.front() == '/' || text.back() == '/') return false;
  if (text.find("..") != std::string_view::npos || text.find("//") != std::string_view::npos) return false;
  return std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return c > 0x20 && c < 0x7f && std::string_view("~^:?*[\\").find(static_cast<char>(c)) == std::string_view::npos;
  });
}

Result<RemoteFile> look_up(Client& client, const std::string& endpoint, const std::string& revision, std::string url) {
  auto headers = client.head(url);
  const auto value = [&](const char* name) {
    const auto found = headers->find(name);
    return found == headers->end() ? std::string() : found->second;
  };
  // A renamed model answers with another place of the hub instead of with the file.
  std::string location;
  for (int hops = 0; headers.ok(); ++hops) {
    location = value("location");
    if (location.empty()) break;
    ASSIGN_OR_RETURN(location, resolve_location(url, location));
    if (hops == 5 || !value("x-repo-commit").empty() || !same_origin(location, endpoint)) break;
    url = std::exchange(location, "");
    headers = client.head(url);
  }
  RETURN_IF_ERROR(headers.status());
  RemoteFile file;
  const bool linked = !value("x-linked-etag").empty();
  file.blob = blob_name(value(linked ? "x-linked-etag" : "etag"));
  if (linked && is_hex(file.blob, 64)) file.sha256 = file.blob;
  file.commit = value("x-repo-commit");
  if (file.commit.empty() && is_commit(revision)) file.commit = revision;
  std::string size = value("x-linked-size");
  if (size.empty() && location.empty()) size = value("content-length");
  if (!size.empty()) file.size = std::strtoull(size.c_str(), nullptr, 10);
  file.url = location.empty() ? url : location;
  file.on_hub = same_origin(file.url, endpoint);
  if (file.blob.empty() || !is_safe_name(file.commit)) {
    return absl::UnavailableError(
        str_cat(url, ": the answer has no etag or no commit: is HF_ENDPOINT a Hugging Face hub?"));
  }
  if (file.size > kMaxFileBytes)
    return absl::ResourceExhaustedError(str_cat(url, ": ", *file.size, " bytes are announced, which no model has"));
  return file;
}

}  // namespace rerank::model::hub

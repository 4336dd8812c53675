#include "model/hub/client.h"

#include <curl/curl.h>

#include <algorithm>
#include <cctype>

#include "base/status_macros.h"
#include "base/strings.h"

namespace rerank::model::hub {
namespace {

// What a server may send back where a small JSON answer is expected.
constexpr size_t kMaxAnswerBytes = 64u << 20;
// A transfer slower than this for as long as options.patience is given up, to be resumed by the next try.
constexpr long kStallBytesPerSecond = 1000;
constexpr size_t kMaxHeaders = 200;  // huggingface.co sends 30

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Url = std::unique_ptr<CURLU, UrlFree>;

// An absolute address; null where it is none.
Url parse_url(const std::string& text) {
  Url url(curl_url());
  if (url && curl_url_set(url.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) url.reset();
  return url;
}

std::string part_of(const Url& url, CURLUPart part, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url.get(), part, &text, flags) != CURLUE_OK) return {};
  std::string copy(text);
  curl_free(text);
  return copy;
}

std::string to_lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

size_t take_header(char* data, size_t size, size_t count, void* user) {
  auto& headers = *static_cast<Headers*>(user);
  std::string line(data, size * count);
  while (!line.empty() && (line.back() == '\r' || line.back() == '\n' || line.back() == ' ')) line.pop_back();
  if (line.starts_with("HTTP/")) headers.clear();  // of a response before a redirect
  const size_t colon = line.find(':');
  if (colon == std::string::npos || headers.size() >= kMaxHeaders) return size * count;
  const size_t value = line.find_first_not_of(" \t", colon + 1);
  headers[to_lower(line.substr(0, colon))] = value == std::string::npos ? "" : line.substr(value);
  return size * count;
}

size_t take_text(char* data, size_t size, size_t count, void* user) {
  auto& text = *static_cast<std::string*>(user);
  if (text.size() + size * count > kMaxAnswerBytes) return 0;
  text.append(data, size * count);
  return size * count;
}

struct Taking {
  Download& download;
  uint64_t taken = 0;
  bool too_many = false;
};

size_t take_bytes(char* data, size_t size, size_t count, void* user) {
  auto& taking = *static_cast<Taking*>(user);
  const size_t bytes = size * count;
  taking.too_many = taking.download.offset + taking.taken + bytes > taking.download.most;
  if (taking.too_many) return 0;
  taking.taken += bytes;
  return std::fwrite(data, 1, bytes, taking.download.file);
}

int tell_progress(void* user, curl_off_t total, curl_off_t now, curl_off_t, curl_off_t) {
  const auto& download = static_cast<Taking*>(user)->download;
  if (total > 0)
    download.progress(download.offset + static_cast<uint64_t>(now), download.offset + static_cast<uint64_t>(total));
  return 0;
}

}  // namespace

Status start_client() {
  static const CURLcode kInitialised = curl_global_init(CURL_GLOBAL_DEFAULT);
  return kInitialised == CURLE_OK ? ok_status() : absl::InternalError("libcurl does not start");
}

Result<std::string> resolve_location(const std::string& url, const std::string& location) {
  const Url base = parse_url(url), target = parse_url(url);
  const bool joined = target && curl_url_set(target.get(), CURLUPART_URL, location.c_str(), 0) == CURLUE_OK;
  const std::string scheme = joined ? part_of(target, CURLUPART_SCHEME) : "";
  if (scheme != "https" && scheme != "http")
    return absl::InvalidArgumentError(str_cat(url, ": redirects to ", location, ", which is no address of HTTP"));
  if (scheme == "http" && part_of(base, CURLUPART_SCHEME) == "https")
    return absl::InvalidArgumentError(str_cat(url, ": redirects to ", location, ", which is not encrypted: refused"));
  return part_of(target, CURLUPART_URL);
}

bool same_origin(const std::string& a, const std::string& b) {
  const Url first = parse_url(a), second = parse_url(b);
  if (!first || !second) return false;
  return part_of(first, CURLUPART_SCHEME) == part_of(second, CURLUPART_SCHEME) &&
         to_lower(part_of(first, CURLUPART_HOST)) == to_lower(part_of(second, CURLUPART_HOST)) &&
         part_of(first, CURLUPART_PORT, CURLU_DEFAULT_PORT) == part_of(second, CURLUPART_PORT, CURLU_DEFAULT_PORT);
}

std::string escape(std::string_view text) {
  char* escaped = curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size()));
  std::string copy(escaped ? escaped : "");
  curl_free(escaped);
  return copy;
}

struct Client::Handle {
  ~Handle() {
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
  }
  CURL* const curl = curl_easy_init();
  curl_slist* headers = nullptr;
};

Client::Client(const HubOptions& options) : options_(options), handle_(std::make_unique<Handle>()) {}
Client::~Client() = default;

Result<std::string> Client::text(const std::string& url) {
  std::string body;
  prepare(url, true);
  curl_easy_setopt(handle_->curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(handle_->curl, CURLOPT_WRITEFUNCTION, take_text);
  curl_easy_setopt(handle_->curl, CURLOPT_WRITEDATA, &body);
  RETURN_IF_ERROR(perform(url));
  return body;
}

Result<Headers> Client::head(const std::string& url) {
  prepare(url, true);
  curl_easy_setopt(handle_->curl, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(handle_->curl, CURLOPT_TIMEOUT, static_cast<long>(2 * options_.patience.count()));
  RETURN_IF_ERROR(perform(url));
  return headers_;
}

Status Client::download(const std::string& url, bool authorised, Download& download) {
  Taking taking{download};
  prepare(url, authorised);
  CURL* const c = handle_->curl;
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &taking);
  if (download.offset > 0) curl_easy_setopt(c, CURLOPT_RESUME_FROM_LARGE, static_cast<curl_off_t>(download.offset));
  if (download.progress) {
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, tell_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, &taking);
  }
  Status status = perform(url);
  if (!taking.too_many) return status;
  return absl::ResourceExhaustedError(str_cat(url, ": more than ", download.most, " bytes came"));
}

void Client::prepare(const std::string& url, bool authorised) {
  CURL* const c = handle_->curl;
  curl_easy_reset(c);
  headers_.clear();
  // What began encrypted stays so.
  const char* const protocols = to_lower(url.substr(0, 6)) == "https:" ? "https" : "http,https";
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
  curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
  const long patience = static_cast<long>(options_.patience.count());
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, patience);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, kStallBytesPerSecond);  // from the first moment: heads, too
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, patience);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_FAILONERROR, 1L);
  curl_easy_setopt(c, CURLOPT_USERAGENT, "rerankd");
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, take_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &headers_);
  curl_slist_free_all(handle_->headers);
  handle_->headers = nullptr;
  if (authorised && !options_.token.empty()) {
    handle_->headers = curl_slist_append(nullptr, ("Authorization: Bearer " + options_.token).c_str());
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, handle_->headers);
  }
}

Status Client::perform(const std::string& url) {
  const CURLcode code = curl_easy_perform(handle_->curl);
  if (code == CURLE_OK) return ok_status();
  long status = 0;
  curl_easy_getinfo(handle_->curl, CURLINFO_RESPONSE_CODE, &status);
  if (status == 401 || status == 403) {
    return absl::PermissionDeniedError(
        str_cat(url, ": HTTP ", status, ": no such model, or it is private or gated: set HF_TOKEN"));
  }
  if (status == 404) return absl::NotFoundError(str_cat(url, ": not on the hub"));
  // 416, or a server that does not know ranges and sends the whole again.
  if (status == 416 || code == CURLE_RANGE_ERROR) return absl::OutOfRangeError(str_cat(url, ": cannot resume"));
  if (status >= 400) return absl::UnavailableError(str_cat(url, ": HTTP ", status));
  return absl::UnavailableError(str_cat(url, ": ", curl_easy_strerror(code)));
}

}  // namespace rerank::model::hub

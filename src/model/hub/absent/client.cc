// Of a build without libcurl (-DRERANKD_HUB=OFF): models are folders, or in the hub's cache already.
#include "model/hub/client.h"

namespace rerank::model::hub {
namespace {

Status no_client() {
  return absl::UnimplementedError(
      "this program was built without libcurl and downloads nothing: name a model's folder");
}

}  // namespace

Status start_client() { return no_client(); }
Result<std::string> resolve_location(const std::string&, const std::string&) { return no_client(); }
bool same_origin(const std::string&, const std::string&) { return false; }
std::string escape(std::string_view text) { return std::string(text); }

struct Client::Handle {};
Client::Client(const HubOptions& options) : options_(options) {}
Client::~Client() = default;
Result<std::string> Client::text(const std::string&) { return no_client(); }
Result<Headers> Client::head(const std::string&) { return no_client(); }
Status Client::download(const std::string&, bool, Download&) { return no_client(); }

}  // namespace rerank::model::hub

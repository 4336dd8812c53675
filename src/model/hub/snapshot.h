// One revision of a repository in the local cache (its layout: model/hub.h), into which single files are downloaded.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "model/hub.h"
#include "model/hub/client.h"
#include "model/hub/remote_file.h"
#include "rerank/status.h"

namespace rerank::model::hub {

// `options` and `hub` outlive it. One thread at a time; processes that share a cache take turns at each file.
class Snapshot {
 public:
  Snapshot(std::string id, std::string revision, const HubOptions& options, Client& hub);

  // One file, which then stands in folder(); nothing is loaded that is whole in the cache. NotFound: the hub does not
  // have it, which is no error where it is not `required`. Unavailable: the network, after tries; what came is kept for
  // the next call. Other errors: the disk, or bytes that are not those of the hub.
  Status fetch(const std::string& name, bool required);
  Result<uint64_t> size_of(const std::string& name);  // on the hub, in bytes

  // Of the commit that the first fetched file was of.
  std::filesystem::path folder() const { return root_ / "snapshots" / commit_; }
  // Of the commit that the cache has for the revision; need not exist.
  std::filesystem::path folder_in_cache() const { return root_ / "snapshots" / commit_in_cache(); }
  Status note_revision() const;  // all is there: from now on this is the cache's commit of the revision

  std::string url_of(const std::string& name) const;
  std::string listing_url() const;  // which names the repository's files

 private:
  std::string commit_in_cache() const;
  Status load(const RemoteFile& remote, const std::string& name, const std::filesystem::path& blob);
  Status load_rest(const RemoteFile& remote, const std::string& name, const std::string& partial);

  std::string id_, revision_;
  const HubOptions& options_;
  Client& hub_;
  std::filesystem::path root_;
  std::string commit_;  // that is downloaded; empty: nothing yet
};

}  // namespace rerank::model::hub

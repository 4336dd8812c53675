// grpc.reflection.v1alpha: https://github.com/grpc/grpc/blob/master/doc/server-reflection.md
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>

#include <set>
#include <string>
#include <utility>

#include "grpc/reflection/v1alpha/reflection.pb.h"
#include "rpc/services/reactors.h"
#include "rpc/services/services.h"

namespace rerank::rpc {
namespace {

namespace reflection = ::grpc::reflection::v1alpha;
using google::protobuf::DescriptorPool;
using google::protobuf::FileDescriptor;

// The file, after those that it imports.
void add_file(const FileDescriptor& file, std::set<const FileDescriptor*>& added,
              reflection::FileDescriptorResponse& out) {
  if (!added.insert(&file).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) add_file(*file.dependency(i), added, out);
  google::protobuf::FileDescriptorProto described;
  file.CopyTo(&described);
  out.add_file_descriptor_proto(described.SerializeAsString());
}

void not_found(reflection::ServerReflectionResponse& out) {
  out.mutable_error_response()->set_error_code(grpc::NOT_FOUND);
  out.mutable_error_response()->set_error_message("not found");
}

void describe(const FileDescriptor* file, reflection::ServerReflectionResponse& out) {
  std::set<const FileDescriptor*> added;
  file ? add_file(*file, added, *out.mutable_file_descriptor_response()) : not_found(out);
}

void answer(const RpcCore& core, const reflection::ServerReflectionRequest& in,
            reflection::ServerReflectionResponse& out) {
  using Request = reflection::ServerReflectionRequest;
  const DescriptorPool& pool = *DescriptorPool::generated_pool();
  switch (in.message_request_case()) {
    case Request::kListServices:
      for (const std::string& name : core.services) out.mutable_list_services_response()->add_service()->set_name(name);
      return;
    case Request::kFileByFilename:
      return describe(pool.FindFileByName(in.file_by_filename()), out);
    case Request::kFileContainingSymbol:
      return describe(pool.FindFileContainingSymbol(in.file_containing_symbol()), out);
    case Request::kAllExtensionNumbersOfType:  // proto3 has none
      if (pool.FindMessageTypeByName(in.all_extension_numbers_of_type()) == nullptr) return not_found(out);
      out.mutable_all_extension_numbers_response()->set_base_type_name(in.all_extension_numbers_of_type());
      return;
    case Request::kFileContainingExtension:
      return not_found(out);
    case Request::MESSAGE_REQUEST_NOT_SET:
      break;
  }
  out.mutable_error_response()->set_error_code(grpc::INVALID_ARGUMENT);
  out.mutable_error_response()->set_error_message("the request asks for nothing");
}

class ReflectionStream : public StreamReactor<reflection::ServerReflectionRequest> {
 public:
  using StreamReactor::StreamReactor;

 private:
  void on_message(std::shared_ptr<transport::MemoryHold> memory) override {
    reflection::ServerReflectionResponse out;
    out.set_valid_host(in().host());
    *out.mutable_original_request() = in();
    answer(call().core(), in(), out);
    if (const Status held = memory->add(out.ByteSizeLong()); !held.ok()) return fail(held);
    send(out, std::move(memory));
  }
};

}  // namespace

std::vector<Method> reflection_methods() {
  return {{"grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", stream<ReflectionStream>()}};
}

}  // namespace rerank::rpc

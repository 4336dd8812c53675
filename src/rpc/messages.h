// Messages of gRPC, which come and go as bytes: so that what they become is counted before memory is taken, and a
// client's key is looked at before its message. Included only within this room.
#pragma once

#include <google/protobuf/message.h>
#include <grpcpp/support/byte_buffer.h>

#include <cstddef>

#include "rerank/status.h"
#include "transport/memory_budget.h"

namespace rerank::rpc {

// Reads a message as it came: plain, or as gzip (no message begins as gzip does: its tag would be of a wire type that
// there is not). `raw` is cleared as soon as it is not needed. `hold` counts the memory that this takes, and at the end
// what `message` and the work on its texts come to. Errors (transport/errors.h): kInvalid: no such message;
// kMalformed: broken gzip; kBodyTooLarge: more than `max_bytes` come out; those of MemoryHold::resize().
Status read_message(grpc::ByteBuffer& raw, size_t max_bytes, transport::MemoryHold& hold,
                    google::protobuf::Message& message);

// Whether reading it takes so long that calls beside it should not wait: it is large, or may become so.
bool takes_long(const grpc::ByteBuffer& raw);

grpc::ByteBuffer write_message(const google::protobuf::Message& message);

}  // namespace rerank::rpc

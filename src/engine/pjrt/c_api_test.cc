// c_api.h against the published header, where tools/pjrt.sh has fetched it.
#include "engine/pjrt/c_api.h"

#include <gtest/gtest.h>

#if __has_include("pjrt_c_api.h")
#include "pjrt_c_api.h"
#define HAS_HEADER 1
#endif

namespace rerank::engine::pjrt {
namespace {

#ifdef HAS_HEADER

// Size of the struct of a call, and its function's place in the table.
#define EXPECT_CALL_IS(ours, theirs)                                                                                   \
  EXPECT_EQ(size_of<ours>(), size_t{PJRT_##theirs##_Args_STRUCT_SIZE}) << #theirs;                                     \
  EXPECT_EQ(offsetof(Api, functions) + ours::kFunction * sizeof(void*), offsetof(PJRT_Api, PJRT_##theirs)) << #theirs; \
  EXPECT_STREQ(ours::kName, #theirs)
#define EXPECT_FIELD_IS(ours, field, theirs, their_field) \
  EXPECT_EQ(offsetof(ours, field), offsetof(theirs, their_field)) << #theirs << "." << #their_field

TEST(PjrtCApiTest, CallsAreThoseOfTheHeader) {
  EXPECT_CALL_IS(ErrorDestroy, Error_Destroy);
  EXPECT_CALL_IS(ErrorMessage, Error_Message);
  EXPECT_CALL_IS(ErrorCode, Error_GetCode);
  EXPECT_CALL_IS(PluginInitialize, Plugin_Initialize);
  EXPECT_CALL_IS(PluginAttributes, Plugin_Attributes);
  EXPECT_CALL_IS(EventDestroy, Event_Destroy);
  EXPECT_CALL_IS(EventAwait, Event_Await);
  EXPECT_CALL_IS(ClientCreate, Client_Create);
  EXPECT_CALL_IS(ClientDestroy, Client_Destroy);
  EXPECT_CALL_IS(ClientPlatformName, Client_PlatformName);
  EXPECT_CALL_IS(ClientPlatformVersion, Client_PlatformVersion);
  EXPECT_CALL_IS(ClientAddressableDevices, Client_AddressableDevices);
  EXPECT_CALL_IS(ClientCompile, Client_Compile);
  EXPECT_CALL_IS(BufferFromHost, Client_BufferFromHostBuffer);
  EXPECT_CALL_IS(DeviceDescriptionId, DeviceDescription_Id);
  EXPECT_CALL_IS(DeviceDescriptionKind, DeviceDescription_Kind);
  EXPECT_CALL_IS(DeviceGetDescription, Device_GetDescription);
  EXPECT_CALL_IS(DeviceMemoryStats, Device_MemoryStats);
  EXPECT_CALL_IS(ExecutableDestroy, Executable_Destroy);
  EXPECT_CALL_IS(ExecutableCostAnalysis, Executable_GetCostAnalysis);
  EXPECT_CALL_IS(ExecutableOptimizedProgram, Executable_OptimizedProgram);
  EXPECT_CALL_IS(ExecutableSerialize, Executable_Serialize);
  EXPECT_CALL_IS(LoadedExecutableDestroy, LoadedExecutable_Destroy);
  EXPECT_CALL_IS(LoadedExecutableGet, LoadedExecutable_GetExecutable);
  EXPECT_CALL_IS(Execute, LoadedExecutable_Execute);
  EXPECT_CALL_IS(DeserializeAndLoad, Executable_DeserializeAndLoad);
  EXPECT_CALL_IS(BufferDestroy, Buffer_Destroy);
  EXPECT_CALL_IS(BufferToHost, Buffer_ToHostBuffer);
  EXPECT_CALL_IS(TopologyCreate, TopologyDescription_Create);
  EXPECT_CALL_IS(TopologyDestroy, TopologyDescription_Destroy);
  EXPECT_CALL_IS(TopologyPlatformName, TopologyDescription_PlatformName);
  EXPECT_CALL_IS(TopologyPlatformVersion, TopologyDescription_PlatformVersion);
  EXPECT_CALL_IS(TopologyDevices, TopologyDescription_GetDeviceDescriptions);
  EXPECT_CALL_IS(Compile, Compile);
  EXPECT_CALL_IS(ExecutableMemoryStats, Executable_GetCompiledMemoryStats);
}

TEST(PjrtCApiTest, FieldsAreThoseOfTheHeader) {
  EXPECT_FIELD_IS(Api, version, PJRT_Api, pjrt_api_version);
  EXPECT_FIELD_IS(ApiVersion, minor, PJRT_Api_Version, minor_version);
  EXPECT_FIELD_IS(NamedValue, type, PJRT_NamedValue, type);
  EXPECT_FIELD_IS(NamedValue, int64_value, PJRT_NamedValue, int64_value);
  EXPECT_FIELD_IS(NamedValue, value_size, PJRT_NamedValue, value_size);
  EXPECT_FIELD_IS(Program, format, PJRT_Program, format);
  EXPECT_FIELD_IS(ExecuteOptions, launch_id, PJRT_ExecuteOptions, launch_id);
  EXPECT_FIELD_IS(ExecuteOptions, kept_inputs, PJRT_ExecuteOptions, non_donatable_input_indices);
  EXPECT_FIELD_IS(ExecuteOptions, incarnation_ids, PJRT_ExecuteOptions, incarnation_ids);
  EXPECT_FIELD_IS(ClientCreate, client, PJRT_Client_Create_Args, client);
  EXPECT_FIELD_IS(ClientCompile, executable, PJRT_Client_Compile_Args, executable);
  EXPECT_FIELD_IS(BufferFromHost, type, PJRT_Client_BufferFromHostBuffer_Args, type);
  EXPECT_FIELD_IS(BufferFromHost, semantics, PJRT_Client_BufferFromHostBuffer_Args, host_buffer_semantics);
  EXPECT_FIELD_IS(BufferFromHost, device, PJRT_Client_BufferFromHostBuffer_Args, device);
  EXPECT_FIELD_IS(BufferFromHost, done_with_host, PJRT_Client_BufferFromHostBuffer_Args, done_with_host_buffer);
  EXPECT_FIELD_IS(DeviceMemoryStats, bytes_in_use, PJRT_Device_MemoryStats_Args, bytes_in_use);
  EXPECT_FIELD_IS(DeviceMemoryStats, bytes_limit, PJRT_Device_MemoryStats_Args, bytes_limit);
  EXPECT_FIELD_IS(ExecutableSerialize, destroy, PJRT_Executable_Serialize_Args, serialized_executable_deleter);
  EXPECT_FIELD_IS(Execute, outputs, PJRT_LoadedExecutable_Execute_Args, output_lists);
  EXPECT_FIELD_IS(Execute, execute_device, PJRT_LoadedExecutable_Execute_Args, execute_device);
  EXPECT_FIELD_IS(DeserializeAndLoad, loaded, PJRT_Executable_DeserializeAndLoad_Args, loaded_executable);
  EXPECT_FIELD_IS(BufferToHost, event, PJRT_Buffer_ToHostBuffer_Args, event);
  EXPECT_FIELD_IS(TopologyCreate, topology, PJRT_TopologyDescription_Create_Args, topology);
  EXPECT_FIELD_IS(Compile, client, PJRT_Compile_Args, client);
  EXPECT_FIELD_IS(Compile, executable, PJRT_Compile_Args, executable);
  EXPECT_FIELD_IS(ExecutableMemoryStats, peak, PJRT_Executable_GetCompiledMemoryStats_Args, peak_memory_in_bytes);
  EXPECT_EQ(sizeof(NamedValue), size_t{PJRT_NamedValue_STRUCT_SIZE});
  EXPECT_EQ(sizeof(Program), size_t{PJRT_Program_STRUCT_SIZE});
  EXPECT_EQ(sizeof(ExecuteOptions), size_t{PJRT_ExecuteOptions_STRUCT_SIZE});
}

TEST(PjrtCApiTest, NumbersAreThoseOfTheHeader) {
  EXPECT_EQ(static_cast<int>(BufferType::kS32), PJRT_Buffer_Type_S32);
  EXPECT_EQ(static_cast<int>(BufferType::kF32), PJRT_Buffer_Type_F32);
  EXPECT_EQ(static_cast<int>(BufferType::kBF16), PJRT_Buffer_Type_BF16);
  EXPECT_EQ(static_cast<int>(HostSemantics::kUntilTransferCompletes),
            PJRT_HostBufferSemantics_kImmutableUntilTransferCompletes);
  EXPECT_EQ(static_cast<int>(ValueType::kInt64List), PJRT_NamedValue_kInt64List);
  EXPECT_EQ(static_cast<int>(ValueType::kBool), PJRT_NamedValue_kBool);
  EXPECT_EQ(kMajor, PJRT_API_MAJOR);
  EXPECT_LE(kOldestMinor, PJRT_API_MINOR);
}

#else

TEST(PjrtCApiTest, IsThatOfTheHeader) {
  GTEST_SKIP() << "pjrt_c_api.h is not there: tools/pjrt.sh fetches it, then configure anew";
}

#endif

}  // namespace
}  // namespace rerank::engine::pjrt

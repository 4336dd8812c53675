// Streams, events and graphs of the emulated runtime.
#include <utility>

#include "world.h"

struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

namespace {

// A place in a stream, where an event was recorded.
struct Mark {
  CUstream_st* stream = nullptr;
  double at = 0;  // by the device's clock, in microseconds
  bool reached = false;
};

}  // namespace

struct CUevent_st {
  std::shared_ptr<Mark> mark;  // where it was recorded last; null: nowhere yet
  bool captured = false;
};

namespace emulation {
namespace {

thread_local CUstream_st* captured = nullptr;  // the stream that this thread captures

void do_next(CUstream_st& stream) {
  const auto work = std::move(stream.work.front());
  stream.work.pop_front();
  work();
}

// No more than has to be done before the mark is reached.
void reach(const Mark& mark) {
  while (!mark.reached) {
    if (mark.stream->work.empty()) misuse("streams that wait for each other");
    do_next(*mark.stream);
  }
}

void push(cudaStream_t stream, std::function<void()> work) {
  CUstream_st& to = stream_of(stream);
  if (to.graph != nullptr) {
    if (&to != captured) misuse("a stream that another thread captures");
    return to.graph->work.push_back(std::move(work));
  }
  to.work.push_back(std::move(work));
  if (settings().order == Order::kEarly) finish(to);
}

}  // namespace

cudaError_t outside_capture() {
  if (captured == nullptr) return cudaSuccess;
  captured->spoilt = true;
  return remember(cudaErrorStreamCaptureUnsupported);
}

CUstream_st& stream_of(cudaStream_t stream) {
  if (stream != nullptr) return *stream;
  CUstream_st& null_stream = world().null_streams[current_device()];
  null_stream.device = current_device();
  return null_stream;
}

void finish(CUstream_st& stream) {
  while (!stream.work.empty()) do_next(stream);
}

void enqueue(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(world().lock);
  push(stream, std::move(work));
  CUstream_st& to = stream_of(stream);
  if (settings().order == Order::kCopiesLate && to.graph == nullptr) finish(to);
}

void enqueue_copy(cudaStream_t stream, std::function<void()> work) {
  const std::lock_guard lock(world().lock);
  push(stream, std::move(work));
}

}  // namespace emulation

using namespace emulation;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  if (flags != cudaStreamNonBlocking) misuse("a stream that blocks on the null stream");
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  *stream = new CUstream_st{current_device()};
  world().streams.push_back(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard lock(world().lock);
  finish(*stream);
  std::erase(world().streams, stream);
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  if (const auto& before = settings().before_waiting) before();
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  if (stream_of(stream).graph != nullptr) return outside_capture();
  finish(stream_of(stream));
  return cudaSuccess;
}

// Where the event has been recorded by now is what the stream will wait for.
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
  if (flags != 0) misuse("a wait with flags");
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  if (stream_of(stream).graph != nullptr || event->captured)
    misuse("a wait between a capture and what is outside of it");
  if (event->mark != nullptr) enqueue_copy(stream, [mark = event->mark] { reach(*mark); });
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  if ((flags & ~cudaEventDisableTiming) != 0) misuse("an event with other flags");
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  *event = new CUevent_st;
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  event->captured = stream_of(stream).graph != nullptr;
  event->mark = std::make_shared<Mark>(Mark{&stream_of(stream)});
  enqueue_copy(stream, [mark = event->mark] {
    mark->at = world().clock;
    mark->reached = true;
  });
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  const std::lock_guard lock(world().lock);
  if (event->captured) {
    (void)outside_capture();
    return remember(cudaErrorCapturedEvent);
  }
  if (event->mark != nullptr) reach(*event->mark);
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  if (begin->mark == nullptr || end->mark == nullptr) return remember(cudaErrorInvalidValue);
  if (!begin->mark->reached || !end->mark->reached) return remember(cudaErrorNotReady);
  *milliseconds = static_cast<float>((end->mark->at - begin->mark->at) * 1e-3);
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  if (stream == nullptr || mode != cudaStreamCaptureModeThreadLocal) misuse("a capture that is not emulated");
  if (stream->graph != nullptr || captured != nullptr) return remember(cudaErrorIllegalState);
  stream->graph = std::make_unique<CUgraph_st>();
  stream->spoilt = false;
  captured = stream;
  return cudaSuccess;
}

// The stream is out of the capture, whatever is returned.
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  if (stream != captured) return remember(cudaErrorIllegalState);
  captured = nullptr;
  const std::unique_ptr<CUgraph_st> made = std::move(stream->graph);
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  if (stream->spoilt) return remember(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st(*made);
  ++graphs().captured;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long flags) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  if (const cudaError_t error = outside_capture(); error != cudaSuccess) return error;
  if (flags != 0) misuse("a graph with flags");
  *executable = new CUgraphExec_st{graph->work};
  ++graphs().kept;
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (const cudaError_t error = next_call(); error != cudaSuccess) return error;
  ++graphs().launched;
  for (const auto& work : executable->work) enqueue(stream, work);
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  --graphs().kept;
  delete executable;
  return cudaSuccess;
}

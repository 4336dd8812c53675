// Which engine computes a model, how precisely and how deep.
#pragma once

#include <cstddef>
#include <string>

#include "rerank/choice.h"
#include "rerank/options/option_info.h"

namespace rerank {

struct EngineOptions {
  EngineKind engine = EngineKind::kAuto;
  static constexpr OptionInfo kEngine{
      "engine", "NAME", "Engine",
      "auto, cuda, cpu, onnx, torchscript, pjrt or reference. auto takes the fastest that runs this model here, or "
      "pjrt where --pjrt-plugin names a plugin; rerankd inspect says which."};

  Precision precision = Precision::kAuto;
  static constexpr OptionInfo kPrecision{
      "precision", "P", "Engine",
      "auto, fp32, fp16, bf16, int8, int4 or fp8, of which an engine has some. auto: bf16 where the CPU multiplies it "
      "faster, else fp32. int8 is faster still and changes scores most: compare rankings on your own documents "
      "first. int4 is the cpu engine's, for models that do not fit otherwise: weights stay 4 bits in memory and are "
      "multiplied in bf16 or fp32. fp8 is the CUDA engine's, for GPUs from compute capability 8.9 (Ada, Hopper); it "
      "changes scores as "
      "int8 does, and its speed is not known yet."};

  KernelTier kernel = KernelTier::kAuto;
  static constexpr OptionInfo kKernel{
      "kernel", "TIER", "Engine",
      "auto, amx, avx512bf16, avx512, avx512vnni-bf16, avx512vnni, avx2 or portable: force a kernel tier, to "
      "compare or to diagnose."};

  std::string devices;
  static constexpr OptionInfo kDevices{
      "devices", "NAME[,NAME...]", "Engine",
      "GPUs of the CUDA engine or devices of a PJRT plugin by number, and cpu: 0,1 or cpu,0. Each batch is shared out "
      "among them by the speed they show, and a device that fails is taken out. With cpu among them, scores come from "
      "both precisions. Default: GPU 0 where there is one, else the CPU; of a plugin its first device."};

  size_t cuda_candidates = 8;
  static constexpr OptionInfo kCudaCandidates =
      OptionInfo{"cuda-candidates", "N", "Engine",
                 "Of cuBLASLt's algorithms for a matrix product, how many the cuda engine tries before it keeps the "
                 "fastest. 1: its first guess is taken untried, to compare or to diagnose."}
          .within(1, 8);

  bool cuda_graphs = true;
  static constexpr OptionInfo kCudaGraphs{
      "cuda-graphs", "BOOL", "Engine",
      "The cuda engine starts small batches as CUDA graphs, which takes the host less time. Scores are the same: "
      "off to compare or to diagnose."};

  bool cuda_overlap = true;
  static constexpr OptionInfo kCudaOverlap{
      "cuda-overlap", "BOOL", "Engine",
      "The cuda engine copies the next batch in while it computes one. Scores are the same: off to compare or to "
      "diagnose."};

  bool cuda_wgmma = true;
  static constexpr OptionInfo kCudaWgmma{
      "cuda-wgmma", "BOOL", "Engine",
      "On Hopper the cuda engine multiplies in attention with wgmma (heads of 64 and 128 dimensions), where that gives "
      "what "
      "mma.sync gives: it compares when a model is opened. Off to compare or to diagnose."};

  bool fp8_fast_accumulation = false;
  static constexpr OptionInfo kFp8FastAccumulation{
      "fp8-fast-accumulation", "BOOL", "Engine",
      "Products of --precision fp8 are added up in the tensor cores' own precision, which Hopper does faster. Scores "
      "change more: `rerankd eval` says by how much."};

  size_t layers = 0;
  static constexpr OptionInfo kLayers = OptionInfo{"layers", "N", "Engine",
                                                   "Compute only the first N layers. 0: all. Ruins most models without "
                                                   "--exits; `rerankd calibrate` says what it "
                                                   "costs. A request may ask for something else."}
                                            .within(0, 10000);

  std::string exits;
  static constexpr OptionInfo kExits{
      "exits", "DIR", "Engine",
      "Exit heads that `rerankd calibrate` has fitted to this model: what fewer layers are read by."};

  double exit_keep = 0;
  static constexpr OptionInfo kExitKeep =
      OptionInfo{"exit-keep", "N", "Engine",
                 "Adaptive depth of a layerwise model, whose layers have outputs of their own, without --exits: of a "
                 "request with top_n, only the best N x top_n documents go on after the first of these outputs, evenly "
                 "fewer after each later one, down to top_n; the others leave. Those that stay get their exact scores. "
                 "Nothing is promised of who stays: `rerankd eval --compare exit-keep=4` says what it costs. 0: off."}
          .within(0, 1000);

  std::string onnx_file;
  static constexpr OptionInfo kOnnxFile{
      "onnx-file", "FILE", "Engine",
      "The graph for --engine onnx, in the model folder or by its path. Default: model.onnx or onnx/model.onnx; "
      "with --precision int8 or fp16 the file whose name says so."};

  std::string onnx_provider = "cpu";
  static constexpr OptionInfo kOnnxProvider{
      "onnx-provider", "NAME[:K=V;...][,NAME...]", "Engine",
      "ONNX Runtime's execution providers, first preferred, each with its options: cuda:device_id=1,cpu. cpu, and "
      "what the library has besides: cuda, tensorrt, openvino, dnnl, ..."};

  bool onnx_split = true;
  static constexpr OptionInfo kOnnxSplit{
      "onnx-split", "BOOL", "Engine",
      "Compute a batch as small blocks concurrently, a thread for each, where it is enough for that: faster than "
      "all threads on one block. Takes the weights' memory twice; false where that is too much."};

  std::string onnxruntime_library;
  static constexpr OptionInfo kOnnxruntimeLibrary{
      "onnxruntime-library", "FILE", "Engine",
      "libonnxruntime.so, 1.21 or later. Default: where tools/setup.sh put it, else the system's."};

  double target_agreement = 0;
  static constexpr OptionInfo kTargetAgreement =
      OptionInfo{
          "target-agreement", "SHARE", "Engine",
          "Adaptive depth: of a request with top_n, documents that are surely not among the best leave at the exits of "
          "--exits; the others get their exact scores. 0.99: of a hundred results that all layers would have put "
          "first, "
          "one may be missing. 0: off. `rerankd calibrate` says what it saves."}
          .within(0, 1);

  std::string torchscript_file;
  static constexpr OptionInfo kTorchscriptFile{
      "torchscript-file", "FILE", "Engine",
      "The torch.jit file for --engine torchscript, in the model folder or by its path. Default: model.pt, "
      "*traced*.pt or *.torchscript."};

  std::string pjrt_plugin;
  static constexpr OptionInfo kPjrtPlugin{
      "pjrt-plugin", "tpu|cuda|rocm|oneapi|FILE", "Engine",
      "The PJRT plugin of --engine pjrt: the library of a package from PyPI (libtpu, jax-cuda13-pjrt, jax-rocm7-pjrt, "
      "jax-oneapi-pjrt), or a file. Of TPUs TPU_LIBRARY_PATH names it, too."};

  std::string pjrt_options;
  static constexpr OptionInfo kPjrtOptions{
      "pjrt-options", "K=V[;K=V...]", "Engine",
      "What the plugin's client is made with, e.g. cpu_device_count=2. Numbers, true and false, and lists of whole "
      "numbers are passed as such, all else as text."};

  std::string pjrt_shapes;
  static constexpr OptionInfo kPjrtShapes{
      "pjrt-shapes", "ROWSxLENGTH[,...]", "Engine",
      "Blocks that programs are compiled for, by --engine pjrt and rerankd convert: 8x128,1x512. A longer pair than "
      "the longest is cut. Default: lengths of 64, 128, ... up to --max-length, each for a small block and a large "
      "one."};

  // In two parts, because the help text lists what the host gives engines (HostOptions::visit_compute) between them.
  template <class O, class Visit>
  static void visit_choice(O& options, Visit&& visit_field) {
    visit_field(kEngine, options.engine);
    visit_field(kPrecision, options.precision);
    visit_field(kKernel, options.kernel);
    visit_field(kDevices, options.devices);
  }

  template <class O, class Visit>
  static void visit_details(O& options, Visit&& visit_field) {
    visit_field(kCudaCandidates, options.cuda_candidates);
    visit_field(kCudaGraphs, options.cuda_graphs);
    visit_field(kCudaOverlap, options.cuda_overlap);
    visit_field(kCudaWgmma, options.cuda_wgmma);
    visit_field(kFp8FastAccumulation, options.fp8_fast_accumulation);
    visit_field(kLayers, options.layers);
    visit_field(kExits, options.exits);
    visit_field(kExitKeep, options.exit_keep);
    visit_field(kOnnxFile, options.onnx_file);
    visit_field(kOnnxProvider, options.onnx_provider);
    visit_field(kOnnxSplit, options.onnx_split);
    visit_field(kOnnxruntimeLibrary, options.onnxruntime_library);
    visit_field(kTargetAgreement, options.target_agreement);
    visit_field(kTorchscriptFile, options.torchscript_file);
    visit_field(kPjrtPlugin, options.pjrt_plugin);
    visit_field(kPjrtOptions, options.pjrt_options);
    visit_field(kPjrtShapes, options.pjrt_shapes);
  }
};

}  // namespace rerank

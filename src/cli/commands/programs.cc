#include "cli/commands/programs.h"

#include <cstdio>
#include <fstream>

#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/progress.h"
#include "engine/pjrt/ahead.h"
#include "engine/supported.h"

namespace rerank::cli {
namespace {

using engine::pjrt::Element;
using engine::pjrt::Rectangle;

Result<std::vector<Rectangle>> shapes_of(const model::Model& model, const Options& options, bool offloads) {
  const std::string& text = options.model.engine.pjrt_shapes;
  if (text.empty()) {
    const size_t wanted = options.model.texts.max_length;
    const size_t longest = wanted == 0 ? model.config.served_length() : std::min(wanted, model.config.max_length());
    return engine::pjrt::default_shapes(longest, offloads);
  }
  auto shapes = engine::pjrt::parse_shapes(text, model.config.max_length());
  if (!shapes.ok()) return with_context(shapes.status(), "--pjrt-shapes");
  return shapes;
}

double mega(uint64_t bytes) { return static_cast<double>(bytes) / 1e6; }

void print_report(const engine::pjrt::AheadReport& report, const std::string& out) {
  std::printf("for %s (%s, %zu device(s)) by %s, %s\n", report.device.c_str(), report.platform.c_str(), report.devices,
              report.plugin.c_str(), report.versions.c_str());
  std::printf("  %-10s %9s %10s %12s %10s %12s %12s\n", "rows x len", "compiled", "program", "weights", "peak", "GFLOP",
              "modelled");
  for (const auto& program : report.programs) {
    const auto& cost = program.cost;
    std::printf("  %-10s %7.1f s %7.1f MB %9.1f MB %7.1f MB %12.2f %9.3f ms%s\n",
                engine::pjrt::shape_text(program.shape).c_str(), program.seconds, mega(program.bytes),
                mega(cost.argument_bytes), mega(cost.peak_bytes), cost.flops / 1e9, cost.seconds * 1e3,
                program.collectives ? "  speaks with other devices" : "");
  }
  std::printf("written to %s, with report.json: serve with --engine pjrt --pjrt-cache %s\n", out.c_str(), out.c_str());
}

}  // namespace

Status write_program_texts(const model::Model& model, const Options& options, const ProgramsToWrite& wanted,
                           convert::ConvertOptions write) {
  ASSIGN_OR_RETURN(const std::vector<Rectangle> shapes, shapes_of(model, options, true));
  std::vector<convert::ProgramShape> sides;
  sides.reserve(shapes.size());
  for (const Rectangle& shape : shapes) sides.push_back({shape.rows, shape.length});
  if (write.precision == Precision::kAuto) write.precision = Precision::kFp32;
  {
    Progress bar("writing", "bytes");
    write.progress = [&](uint64_t done, uint64_t total) { bar.update(done, total); };
    RETURN_IF_ERROR(convert::write_stablehlo(model, wanted.out, sides, write));
  }
  std::printf("written to %s: stablehlo, %s, blocks of %s, and weights.safetensors\n", wanted.out.c_str(),
              std::string(word_of(write.precision)).c_str(), engine::pjrt::shapes_text(shapes).c_str());
  return ok_status();
}

Status compile_programs(const model::Model& model, const Options& options, const ProgramsToWrite& wanted,
                        Precision precision) {
  if (precision != Precision::kFp32 && precision != Precision::kBf16)
    return absl::InvalidArgumentError(
        str_cat("--precision ", word_of(precision), ": a compiled program can be fp32 or bf16"));
  const std::string parts = engine::uncomputed_parts(model.architecture(), engine::kPairFeatures);
  if (!parts.empty()) return absl::UnimplementedError(str_cat("--to pjrt: does not compute ", parts));
  const EngineOptions& engine = options.model.engine;
  const bool here = wanted.topology.empty();
  ASSIGN_OR_RETURN(const std::vector<Rectangle> shapes, shapes_of(model, options, !here));
  Progress bar("compiling", "programs");
  auto report = engine::pjrt::compile_ahead(model.architecture(),
                                            {.plugin = engine.pjrt_plugin,
                                             .topology = wanted.topology,
                                             .options = engine.pjrt_options,
                                             .portable = wanted.portable,
                                             .matrices = precision == Precision::kBf16 ? Element::kBF16 : Element::kF32,
                                             .shapes = shapes,
                                             .folder = wanted.out,
                                             .max_bytes = options.host.pjrt_cache_bytes},
                                            [&](size_t done, size_t all) { bar.update(done, all); });
  RETURN_IF_ERROR(report.status());
  print_report(*report, wanted.out);
  std::ofstream file(wanted.out + "/report.json");
  file << engine::pjrt::report_json(*report);
  file.close();
  return file ? ok_status() : absl::UnavailableError(str_cat(wanted.out, "/report.json: cannot write"));
}

}  // namespace rerank::cli

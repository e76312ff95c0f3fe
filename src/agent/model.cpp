#include "shoal/model.hpp"

#include <array>
#include <utility>

#include "agent/device.hpp"
#include "agent/gpu_network.hpp"
#include "agent/load_together.hpp"
#include "agent/workers.hpp"
#include "base/message.hpp"
#include "cluster/world.hpp"
#include "shoal/error.hpp"

namespace shoal {
namespace {

DType dtype_of(const std::string& name) {
  if (name == "auto") return DType::automatic;
  if (name == "f32") return DType::f32;
  if (name == "bf16") return DType::bf16;
  if (name == "int8") return DType::int8;
  throw UsageError("bad dtype '" + name + "' (not known) choose one of auto, f32, bf16, int8");
}

KvDType kv_dtype_of(const std::string& name) {
  if (name == "auto") return KvDType::automatic;
  if (name == "int8") return KvDType::int8;
  throw UsageError("bad kv_dtype '" + name + "' (not known) choose one of auto, int8");
}

std::string source_of(const ModelSettings& settings) {
  if (settings.model_type == "minnow") return "minnow";
  if (settings.model_type != "huggingface")
    throw UsageError("bad model type '" + settings.model_type + "' (not supported) choose one of huggingface, minnow");
  const std::string id = model_id_of_size(settings.model_size);
  return id.empty() ? settings.model_size : id;
}

}  // namespace

std::string model_id_of_size(const std::string& size) {
  constexpr std::array<std::pair<const char*, const char*>, 10> sizes{{
      {"default", "mistralai/Mistral-7B-Instruct-v0.2"},
      {"small", "TinyLlama/TinyLlama-1.1B-Chat-v1.0"},
      {"medium", "microsoft/phi-2"},
      {"large", "meta-llama/Llama-3-8b-chat-hf"},
      {"xl", "meta-llama/Llama-3-70b-chat-hf"},
      {"code", "codellama/CodeLlama-7b-instruct-hf"},
      {"tiny_context", "Qwen/Qwen1.5-0.5B-Chat"},
      {"small_context", "Qwen/Qwen1.5-0.5B-Chat"},
      {"medium_context", "Qwen/Qwen1.5-1.8B-Chat"},
      {"long_context", "Qwen/Qwen1.5-7B-Chat"},
  }};
  for (const auto& [name, id] : sizes) {
    if (size == name) return id;
  }
  return {};
}

std::shared_ptr<const Model> create_model(const ModelSettings& settings) {
  const std::string source = source_of(settings);
  LoadOptions options{.dtype = dtype_of(settings.dtype), .kv_dtype = kv_dtype_of(settings.kv_dtype)};
  auto world = cluster::World::shared();
  const auto wish =
      agent::device_wish(settings.use_gpu_monte_carlo ? "auto" : "cpu", true, source, options.dtype, options.kv_dtype);
  const agent::DeviceChoice choice = agent::choose_device(wish, source, options, world.get());
  if (world->rank() == Rank{0} && !choice.note.empty()) print_message(choice.note);
  options.device = choice.device;
  try {
    auto model = agent::load_together(world.get(), source, options);
    agent::GpuNetwork network = agent::link_gpus(world.get(), choice);
    if (world->rank() == Rank{0} && network.is_warning) print_message(network.line);
    return std::make_shared<const Model>(
        Model{settings, std::move(model), std::move(world), std::move(network.links),
              agent::choose_micro_batches(settings.monte_carlo_workers, choice.device)});
  } catch (const cluster::AgreedError& e) {
    if (e.code() == ExitCode::model) throw ModelError(e.what());
    throw;
  }
}

}  // namespace shoal

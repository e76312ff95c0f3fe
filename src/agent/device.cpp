#include "agent/device.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include "base/bytes.hpp"
#include "lm/cuda/gpus.hpp"
#include "lm/cuda/limits.hpp"
#include "lm/cuda/plugin.hpp"
#include "shoal/error.hpp"

namespace shoal::agent {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

/// The node's ranks take its GPUs in turn.
int gpu_of(int rank_on_node, int gpus) { return rank_on_node % gpus; }

GpuOffer own_offer(const cluster::World& world) {
  const lm::Gpus& gpus = lm::find_gpus();
  GpuOffer offer{host_name(), world.rank_on_node(), static_cast<int>(gpus.all.size()), "", "", gpus.problem};
  if (!offer.problem.empty()) return offer;
  const int mine = gpu_of(offer.rank_on_node, offer.gpus);
  offer.kind = gpus.all[static_cast<std::size_t>(mine)].name;
  offer.uuid = gpus.all[static_cast<std::size_t>(mine)].uuid;
  offer.problem = lm::cuda_problem(mine);
  if (const char* host = std::getenv("NCCL_HOSTID"); host != nullptr) offer.nccl_host = host;
  return offer;
}

std::string to_bytes(const GpuOffer& offer) {
  ByteWriter out;
  out.put_string(offer.host);
  out.put(offer.rank_on_node);
  out.put(offer.gpus);
  out.put_string(offer.kind);
  out.put_string(offer.uuid);
  out.put_string(offer.problem);
  out.put_string(offer.nccl_host);
  return out.take();
}

GpuOffer offer_from(const std::string& bytes) {
  ByteReader in(bytes);
  GpuOffer offer;
  offer.host = in.get_string();
  offer.rank_on_node = in.get<int>();
  offer.gpus = in.get<int>();
  offer.kind = in.get_string();
  offer.uuid = in.get_string();
  offer.problem = in.get_string();
  offer.nccl_host = in.get_string();
  return offer;
}

std::string where(std::span<const GpuOffer> offers, std::size_t rank) {
  if (offers.size() == 1) return "";
  return "rank " + std::to_string(rank) + " on " + offers[rank].host + ": ";
}

/// Why not all ranks can compute on GPUs of one kind; empty if they can.
std::string obstacle(std::span<const GpuOffer> offers) {
  for (std::size_t r = 0; r < offers.size(); ++r)
    if (!offers[r].problem.empty()) return where(offers, r) + offers[r].problem;
  for (std::size_t r = 0; r < offers.size(); ++r)
    if (offers[r].kind != offers[0].kind)
      return "GPUs of two kinds round differently: " + offers[0].kind + " on " + offers[0].host + ", " +
             offers[r].kind + " on " + offers[r].host;
  return "";
}

int ranks_on_gpu(std::span<const GpuOffer> offers, const GpuOffer& mine) {
  return static_cast<int>(
      std::count_if(offers.begin(), offers.end(), [&](const GpuOffer& o) { return o.uuid == mine.uuid; }));
}

bool gpu_for_each(std::span<const GpuOffer> offers) {
  std::set<std::pair<std::string, std::string>> seen;
  for (const GpuOffer& offer : offers) seen.emplace(offer.uuid, offer.nccl_host);
  return seen.size() == offers.size();
}

/// Why no GPU computes a model in these types; empty if one does.
std::string beyond_gpus(const std::string& model, const LoadOptions& options) {
  if (options.dtype == DType::f32) return "no GPU computes in f32";
  if (options.kv_dtype == KvDType::int8) return "no GPU keeps keys and values in 8 bits";
  const std::string part = lm::beyond_gpus(model);
  return part.empty() ? "" : "no GPU computes this model, which has " + part;
}

}  // namespace

DeviceChoice choose_device(DeviceWish wish, std::span<const GpuOffer> offers, Rank rank,
                           const std::string& beyond_gpus) {
  const GpuOffer& mine = offers[static_cast<std::size_t>(rank.value())];
  if (wish == DeviceWish::cpu) return {};
  std::string why_not = obstacle(offers);
  if (why_not.empty()) why_not = beyond_gpus;
  if (why_not.empty())
    return {{Device::Kind::cuda, gpu_of(mine.rank_on_node, mine.gpus), ranks_on_gpu(offers, mine)},
            "",
            gpu_for_each(offers)};
  if (wish == DeviceWish::cuda) throw UsageError("--device cuda is not available (" + why_not + ") use --device cpu");
  if (wish == DeviceWish::cuda_if_any)
    return {{}, "--use-gpu-monte-carlo: no GPU is used (" + why_not + "), running on the CPU"};
  const bool some = std::any_of(offers.begin(), offers.end(), [](const GpuOffer& o) { return o.problem.empty(); });
  return {{}, some ? "all ranks run on the CPU (" + why_not + "); --device cpu says so from the start" : ""};
}

DeviceChoice choose_device(DeviceWish wish, const std::string& model, const LoadOptions& options,
                           cluster::World* world) {
  if (wish == DeviceWish::cpu) return {};
  const std::string mine = to_bytes(world->together([&] { return own_offer(*world); }));
  std::vector<GpuOffer> offers;
  for (const std::string& bytes : world->share(mine)) offers.push_back(offer_from(bytes));
  return world->together([&] {
    return choose_device(wish, offers, world->rank(), obstacle(offers).empty() ? beyond_gpus(model, options) : "");
  });
}

DeviceWish device_wish(const std::string& device, bool use_gpu, const std::string& model, DType dtype,
                       KvDType kv_dtype) {
  if (device == "cpu") return DeviceWish::cpu;
  if (device == "cuda") {
    if (dtype == DType::f32)
      throw UsageError("--dtype f32 is not available with --device cuda (GPUs compute in bf16 or int8) use another");
    if (kv_dtype == KvDType::int8)
      throw UsageError(
          "--kv-dtype int8 is not available with --device cuda (GPUs keep keys and values in bf16) use --kv-dtype auto "
          "or --device cpu");
    return DeviceWish::cuda;
  }
  if (device != "auto") throw UsageError("bad --device '" + device + "' (not known) choose one of auto, cpu, cuda");
  if (model.starts_with("tabular:")) return DeviceWish::cpu;
  return use_gpu ? DeviceWish::cuda_if_any : DeviceWish::automatic;
}

}  // namespace shoal::agent
